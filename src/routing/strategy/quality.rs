//! The best score for the request's task first; one without a score is last.

use crate::config::model::Quality;
use crate::config::rule::TargetId;
use crate::routing::decision::Question;
use crate::routing::scene::Scene;

/// The score for the request's task, which is `task` of its `metadata`, or else the general one.
#[must_use]
pub fn score(quality: &Quality, question: &Question<'_>) -> Option<u16> {
    if quality.tasks.is_empty() {
        return quality.general;
    }
    let task = (question.metadata)("task");
    let of_task = task.and_then(|task| quality.tasks.iter().find(|(known, _)| **known == task));
    of_task.map(|(_, score)| *score).or(quality.general)
}

pub(in crate::routing) fn key(target: TargetId, scene: &Scene<'_, '_>) -> u64 {
    let score = scene.model(target).and_then(|model| score(&model.quality, scene.question));
    score.map_or(u64::MAX, |score| u64::from(u16::MAX - score))
}
