//! Whom something is to be told of.

use std::rc::Rc;

use super::news::News;
use super::subject::Subject;

/// Something to be told, once over all workers.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Of whom.
    pub subject: Rc<Subject>,
    /// What.
    pub news: News,
}
