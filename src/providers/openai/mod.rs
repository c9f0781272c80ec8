//! OpenAI, and the base for all that speak like it.
use super::*;

/// The dialect.
pub struct OpenAi;

impl Dialect for OpenAi {
    fn request(&self, _: &Chat<'_>, _: &[u8], _: &Target<'_>) -> Result<Outbound, Error> {
        Err(Error::new(crate::openai::Class::Server, "not yet"))
    }
    fn answer(&self, _: &Call<'_>, _: &Headers<'_>, _: &[u8]) -> Result<Answer, Error> {
        Err(Error::new(crate::openai::Class::Server, "not yet"))
    }
    fn stream(&self, _: &Call<'_>) -> Box<dyn Translator> {
        Box::new(Nothing)
    }
}
struct Nothing;
impl Translator for Nothing {
    fn push(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
    fn finish(&mut self, _: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
    fn progress(&self) -> Progress {
        Progress::Preamble
    }
    fn usage(&self) -> Option<Usage> {
        None
    }
}
