//! The binding to Envoy. Everything outside this folder is pure.
//!
//! | file | what it is |
//! |---|---|
//! | [`exchange`] | a request on its way: what both roles know of it |
//! | [`asked`] | what a client asked for, parsed once: a chat or vectors |
//! | `identity` | what a request shows of who asks |
//! | [`intake`] | what the gateway role does with a request before it leaves |
//! | `gateway` | the role in the listener: once per request |
//! | `provider` | the role in a cluster: once per attempt |
//! | `property` | what both tell each other and Envoy in properties |
//! | [`service`] | a configuration, and what this worker knows of its providers |
//! | `meter` | what is counted of a request when it is over |
//! | [`record`] | the record of a request, for the access log |
//! | [`call`] | requests of the gateway to itself: what is asked of whom, and those under way |
//! | `callout` | how one is sent |
//! | `loopback` | the role in the internal listener: once per such request |
//! | [`arrived`] | the exchange of one that has arrived, and what became of it |
//! | `mirror` | copies of clients' requests, for comparison |
//! | `probe` | asking providers unasked, to know how they do |
//! | [`spoken`] | what an answer says, for its record |
//! | [`refusal`] | a request that goes nowhere |
//! | [`reply`] | answers that Waypost gives itself |
//! | [`accounts`] | whom a request is charged to |
//! | [`books`] | what they have used: counted, and told |
//! | [`tab`] | what a request holds of them |
//! | [`limited`] | what a client is told of limits |
//! | [`alerts`] | telling people that money runs out |
//! | `webhook` | how they leave the worker |
//! | [`prices`] | newer prices while the gateway runs |
//! | [`post`] | what may be sent to the status listener |
//! | [`restore`] | what was spent before |
//! | `status` | the role in the status listener |
//! | `root` | the module's entry: configuration and tick |
//! | `clock` | what the clocks say, for a turn |
//! | `turn` | one call of Envoy's: its time |
//! | `collected` | a body that is read to its end before anything is done with it |
//! | `shared` | exchanges of this worker, found by their id; what all workers share |
//! | [`world`] | what a worker gets from outside |
//! | `host` | the only file that calls Envoy |

pub mod accounts;
pub mod alerts;
pub mod arrived;
pub mod asked;
pub mod books;
pub mod call;
pub mod clock;
pub mod exchange;
pub mod intake;
pub mod limited;
pub mod meter;
pub mod post;
pub mod prices;
pub mod record;
pub mod refusal;
pub mod reply;
pub mod restore;
pub mod service;
pub mod spoken;
pub mod tab;
pub mod world;

#[cfg(target_os = "wasi")]
mod callout;
#[cfg(target_os = "wasi")]
mod collected;
#[cfg(target_os = "wasi")]
mod gateway;
#[cfg(target_os = "wasi")]
mod host;
#[cfg(target_os = "wasi")]
mod identity;
#[cfg(target_os = "wasi")]
mod loopback;
#[cfg(target_os = "wasi")]
mod mirror;
#[cfg(target_os = "wasi")]
mod probe;
#[cfg(target_os = "wasi")]
mod property;
#[cfg(target_os = "wasi")]
mod provider;
#[cfg(target_os = "wasi")]
mod root;
#[cfg(target_os = "wasi")]
mod shared;
#[cfg(target_os = "wasi")]
mod status;
#[cfg(target_os = "wasi")]
mod turn;
#[cfg(target_os = "wasi")]
mod webhook;
