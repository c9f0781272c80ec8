//! Reads `catalogue.json`, with the reader of the canonical API: one that serde derives is 50 KB of
//! the module. Members that there are not are passed over here; a test finds them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    Capabilities, Efforts, Facts, Mode, Parameters, Price, Rate, Rates, ThinkingOff, Tier,
};
use crate::openai::fault::{Fault, misfit};
use crate::openai::json::{Num, RawStr};
use crate::openai::place::{self, Entries, Members, Own, Place, Slot, Word, members};

/// The date, and the families in the order of their names with their models in that of theirs.
type Data = (&'static str, Vec<(&'static str, Vec<Facts>)>);

/// Reads the data.
pub(super) fn read(text: &'static str) -> Result<Data, String> {
    let wrong = |error: serde_json::Error| error.to_string();
    let Document { as_of, families } = place::from_str(text).map_err(wrong)?;
    let mut read = Vec::new();
    for (family, models) in families.0 {
        let models: Named<'static> = place::from_str(models.get()).map_err(wrong)?;
        let model = |(name, raw): (_, &'static RawValue)| {
            let entry: Entry<'static> = place::from_str(raw.get()).map_err(wrong)?;
            entry.facts(plain(name)?)
        };
        let models = models.0.into_iter().map(model).collect::<Result<_, String>>()?;
        read.push((plain(family)?, models));
    }
    Ok((plain(as_of)?, read))
}

/// A text without escapes stands in the data as it is.
fn plain(text: Cow<'static, str>) -> Result<&'static str, String> {
    match text {
        Cow::Borrowed(text) => Ok(text),
        Cow::Owned(text) => Err(["\"", &text, "\" is written with an escape"].concat()),
    }
}

struct Document<'a> {
    as_of: Cow<'a, str>,
    families: Named<'a>,
}

members!(Document<'a> { as_of (required), families (required) });

/// The members of an object, in the order of their names.
struct Named<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Place<'a> for Named<'a> {
    fn blank() -> Self {
        Self(Vec::new())
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Entries(self)
    }
}

impl<'a> Entries<'a> for Named<'a> {
    fn entry(&mut self, name: Cow<'a, str>, value: &'a RawValue) -> Result<(), Fault> {
        let at = self.0.partition_point(|(known, _)| *known < name);
        self.0.insert(at, (name, value));
        Ok(())
    }
}

/// One model.
pub(super) struct Entry<'a> {
    known: Option<bool>,
    mode: Mode,
    usd_per_mtok: Option<Price>,
    context_window: Option<u64>,
    max_output: Option<u64>,
    vector_size: Option<u32>,
    capabilities: Option<Capabilities>,
    parameters: Option<Parameters>,
    deprecated_on: Option<Cow<'a, str>>,
}

members!(Entry<'a> {
    known,
    mode (required),
    usd_per_mtok,
    context_window,
    max_output,
    vector_size,
    capabilities,
    parameters,
    deprecated_on,
});

impl Entry<'static> {
    fn facts(self, name: &'static str) -> Result<Facts, String> {
        Ok(Facts {
            name,
            known: self.known.unwrap_or(true),
            mode: self.mode,
            price: self.usd_per_mtok,
            context_window: self.context_window,
            max_output: self.max_output,
            vector_size: self.vector_size,
            capabilities: self.capabilities.unwrap_or_else(Capabilities::all),
            parameters: self.parameters.unwrap_or_default(),
            deprecated_on: self.deprecated_on.map(plain).transpose()?,
        })
    }
}

members!(Price { base (required), tiers });

members!(Tier { above (required), rates (required) });

members!(Rates {
    input,
    cached_input,
    cache_write,
    cache_write_1h,
    cache_write_12h,
    output,
    reasoning,
    input_audio,
    output_audio,
});

impl<'a> Place<'a> for Rate {
    fn blank() -> Self {
        Self::default()
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Own(self)
    }
}

impl<'a> Own<'a> for Rate {
    fn take(&mut self, raw: &'a RawValue) -> Result<(), Fault> {
        let mut number = Num::blank();
        number.take(raw)?;
        let rate = Self::from_usd_per_mtok(number.value);
        *self = rate.ok_or_else(|| misfit(raw, "a price in USD per million tokens"))?;
        Ok(())
    }
}

impl<'a> Place<'a> for Parameters {
    fn blank() -> Self {
        Self::default()
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Members(self)
    }
}

impl<'a> Members<'a> for Parameters {
    members!(@members {
        sampling_params,
        sampling_with_effort_none,
        temperature_with_top_p,
        penalties,
        stop,
        tool_choice,
        forced_tool_use,
        tools_with_effort,
        system_messages,
        mid_conversation_system,
        assistant_prefill,
        adaptive_thinking,
        legacy_thinking,
        thinking_off,
        efforts,
    });
}

/// A set whose text is words with a space between.
macro_rules! words {
    ($($name:ident),*) => {
        $(
            impl<'a> Place<'a> for $name {
                fn blank() -> Self {
                    Self::default()
                }
                fn slot(&mut self) -> Slot<'_, 'a> {
                    Slot::Own(self)
                }
            }

            impl<'a> Own<'a> for $name {
                fn take(&mut self, raw: &'a RawValue) -> Result<(), Fault> {
                    let text = RawStr::from_raw(raw).ok_or_else(|| misfit(raw, "words"))?;
                    *self = text.decode().parse().map_err(Fault::new)?;
                    Ok(())
                }
            }
        )*
    };
}
words!(Capabilities, Efforts);

impl<'a> Place<'a> for Mode {
    fn blank() -> Self {
        Self::Chat
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Word(self)
    }
}

impl Word for Mode {
    fn words(&self) -> (&'static str, &'static [&'static str]) {
        ("a mode", &["chat", "embedding"])
    }
    fn choose(&mut self, at: usize) {
        *self = if at == 0 { Self::Chat } else { Self::Embedding };
    }
}

impl<'a> Place<'a> for ThinkingOff {
    fn blank() -> Self {
        Self::Disabled
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Word(self)
    }
}

impl Word for ThinkingOff {
    fn words(&self) -> (&'static str, &'static [&'static str]) {
        ("how thinking is turned off", &["disabled", "between_tools", "never"])
    }
    fn choose(&mut self, at: usize) {
        *self = match at {
            0 => Self::Disabled,
            1 => Self::BetweenTools,
            _ => Self::Never,
        };
    }
}
