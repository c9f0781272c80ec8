//! A copy of some requests to another target.

use super::target::{self, Targets};
use super::{Around, Require, TargetId, possible};
use crate::config::reader::{Node, Problems};
use crate::providers::catalogue::Mode;

/// A share of the requests that is also sent elsewhere. The answer is thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// To whom.
    pub target: TargetId,
    /// How many of ten thousand requests.
    pub share: u16,
}

/// Reads `mirror`.
pub(super) fn read(
    node: &Node<'_>,
    require: &Require,
    targets: &Targets<'_>,
    around: Around<'_>,
    problems: &mut Problems,
) -> Option<Mirror> {
    let mut fields = node.fields(problems);
    let target = fields.need("target", problems);
    let share = fields.need("share", problems);
    fields.finish(problems);
    if !around.loopback {
        problems.add(
            &node.path,
            "needs loopback at the top: the cluster that leads back to this gateway, which sends the copy",
        );
    }
    let share = share.and_then(|node| node.share(1, 10_000, 1, problems));
    let target_node = target?;
    let target = target::resolve(&target_node, around.providers, problems)?;
    if targets.whole && matches!(targets.list.as_slice(), [only] if only.is(target)) {
        problems.add(
            &target_node.path,
            "is the rule's only target: it would answer its own requests a second time; name another",
        );
    }
    let (provider, model) = target.of(around.providers)?;
    let (mode, other) = match model.facts.mode {
        Mode::Chat => (Mode::Embedding, "chats"),
        Mode::Embedding => (Mode::Chat, "embeddings"),
    };
    if model.facts.known
        && targets.whole
        && possible::serve_only(mode, &targets.list, around.providers)
    {
        problems.say(
            &target_node.path,
            format_args!(
                "is known to be for {other}, and none of the targets is: it could answer no copy"
            ),
        );
    }
    if !provider.endpoints.iter().any(|endpoint| require.allows(endpoint.region.as_deref())) {
        problems.say(&target_node.path, format_args!(
                "has no endpoint in the region that the rule requires ({}), and the copy must not leave it either",
                require.region.join(", ")
            ));
    }
    Some(Mirror { target, share: share? })
}
