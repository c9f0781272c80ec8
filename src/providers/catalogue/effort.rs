//! Reasoning efforts and which of them a model takes.

use std::str::FromStr;

/// A reasoning effort, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// No reasoning.
    None,
    /// Hardly any.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More than `high`.
    Xhigh,
    /// All that the model can give.
    Max,
}

impl Effort {
    /// Each effort, from the least to the most.
    pub const ALL: [Self; 7] =
        [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Xhigh, Self::Max];

    /// The value of `reasoning_effort`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The effort that has this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Which values the effort field of a model takes, as far as it is published. For Claude it is
/// `output_config.effort`, which has no `none`: see `ThinkingOff`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Efforts {
    accepted: u8,
    refused: u8,
}

impl Efforts {
    /// These are taken and all others refused.
    #[must_use]
    pub fn only(efforts: &[Effort]) -> Self {
        let accepted = efforts.iter().fold(0, |set, effort| set | effort.bit());
        let all = Effort::ALL.iter().fold(0, |set, effort| set | effort.bit());
        Self { accepted, refused: all & !accepted }
    }

    /// Whether the model takes `effort`; `None` when that is not known.
    #[must_use]
    pub const fn accepts(self, effort: Effort) -> Option<bool> {
        if self.accepted & effort.bit() != 0 {
            Some(true)
        } else if self.refused & effort.bit() != 0 {
            Some(false)
        } else {
            None
        }
    }

    /// The effort to send for `wanted`: itself unless the model is known to refuse it; then the
    /// next lower one, which costs no more than was asked for, but not `none`, which would turn
    /// reasoning off; else the next higher one.
    #[must_use]
    pub fn nearest(self, wanted: Effort) -> Effort {
        let usable = |effort: &Effort| self.accepts(*effort) != Some(false);
        if usable(&wanted) {
            return wanted;
        }
        let lower = |effort: &Effort| *effort < wanted && *effort != Effort::None;
        let higher = |effort: &Effort| *effort > wanted;
        let all = Effort::ALL.into_iter().filter(usable);
        let below = all.clone().rfind(lower);
        below.or_else(|| all.clone().find(higher)).unwrap_or(wanted)
    }
}

/// Reads `none low -max`: `none` and `low` are accepted, `max` is refused, the others are not
/// known.
impl FromStr for Efforts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut efforts = Self::default();
        for word in text.split_ascii_whitespace() {
            let (set, name) = match word.strip_prefix('-') {
                Some(name) => (&mut efforts.refused, name),
                None => (&mut efforts.accepted, word),
            };
            let effort = Effort::from_name(name);
            *set |= effort.ok_or_else(|| format!("effort {name:?} is unknown"))?.bit();
        }
        Ok(efforts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn efforts(text: &str) -> Efforts {
        text.parse().unwrap()
    }

    #[test]
    fn an_effort_is_accepted_refused_or_not_known() {
        let some = efforts("none low -max");
        assert_eq!(some.accepts(Effort::None), Some(true));
        assert_eq!(some.accepts(Effort::Max), Some(false));
        assert_eq!(some.accepts(Effort::High), None);
        assert_eq!("low huge".parse::<Efforts>(), Err("effort \"huge\" is unknown".to_owned()));
    }

    #[test]
    fn a_refused_effort_steps_down_but_not_to_none() {
        let gpt = efforts("none -minimal low medium high -xhigh -max");
        assert_eq!(gpt.nearest(Effort::Max), Effort::High);
        assert_eq!(gpt.nearest(Effort::Minimal), Effort::Low);
        assert_eq!(gpt.nearest(Effort::None), Effort::None);
        assert_eq!(gpt.nearest(Effort::Medium), Effort::Medium);
    }

    #[test]
    fn a_refused_none_steps_up_to_the_least_effort() {
        assert_eq!(efforts("-none minimal low").nearest(Effort::None), Effort::Minimal);
        assert_eq!(efforts("-none -minimal low").nearest(Effort::None), Effort::Low);
    }

    #[test]
    fn an_effort_of_an_unknown_model_stays() {
        for effort in Effort::ALL {
            assert_eq!(Efforts::default().nearest(effort), effort);
            assert_eq!(Effort::from_name(effort.name()), Some(effort));
        }
        let nothing = efforts("-none -minimal -low -medium -high -xhigh -max");
        assert_eq!(nothing.nearest(Effort::Low), Effort::Low);
    }
}
