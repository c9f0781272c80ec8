//! The document that holds newer prices.
//!
//! ```json
//! {"version": 1, "prices": {"openai/gpt-4o": {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10}}}
//! ```
//!
//! A price is written as `price` of a model is, and replaces that as a whole. Models that are not in the
//! document have the price of the configuration.

use super::gateway::Gateway;
use super::price;
use super::reader::{Node, Problem, Problems};
use super::structure::MAX_DEPTH;
use crate::openai::value;
use crate::providers::catalogue::{Mode, Price};

/// Longest document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 256 << 10;

/// Most prices in it.
pub const MAX_PRICES: usize = 4096;

/// Prices of a document, for the models of a configuration.
#[derive(Debug, Default, PartialEq)]
pub struct Document {
    /// By the places of provider and model.
    pub prices: Vec<((usize, usize), Price)>,
    /// How many are of models that the configuration does not have.
    pub ignored: usize,
}

/// Reads a document.
///
/// # Errors
/// Everything that is wrong with it, also with what is of no concern to `gateway`.
pub fn read_document(bytes: &[u8], gateway: &Gateway) -> Result<Document, Vec<Problem>> {
    let mut problems = Problems::default();
    let document = read_all(bytes, gateway, &mut problems);
    if problems.is_empty() { Ok(document) } else { Err(problems.into_vec()) }
}

fn read_all(bytes: &[u8], gateway: &Gateway, problems: &mut Problems) -> Document {
    let mut document = Document::default();
    if bytes.len() > MAX_DOCUMENT_BYTES {
        problems.say("", format_args!("the document is longer than {MAX_DOCUMENT_BYTES} bytes"));
        return document;
    }
    let value = match value::parse(bytes, MAX_DEPTH) {
        Ok(value) => value,
        Err(error) => {
            problems.say("", format_args!("the document is not JSON: {error}"));
            return document;
        }
    };
    let mut fields = Node::root(&value).fields(problems);
    if let Some(node) = fields.need("version", problems) {
        node.whole(1, 1, problems);
    }
    let entries = fields.need("prices", problems).map(|node| (node.entries(problems), node.path));
    fields.finish(problems);
    let (entries, path) = entries.unwrap_or_default();
    if entries.len() > MAX_PRICES {
        problems.say(
            &path,
            format_args!("there are {} prices; at most {MAX_PRICES} are taken", entries.len()),
        );
        return document;
    }
    for (name, node) in entries {
        let place = find(gateway, name);
        let mode = place.map_or(Mode::Embedding, |(_, mode)| mode);
        let price = price::read(&node, mode, problems);
        match (place, price) {
            (Some((place, _)), Some(price)) => document.prices.push((place, price)),
            (None, _) => document.ignored += 1,
            (Some(_), None) => {}
        }
    }
    document
}

/// The place of `provider/model`, and what the model is for.
fn find(gateway: &Gateway, name: &str) -> Option<((usize, usize), Mode)> {
    let (provider, model) = name.split_once('/')?;
    let at = gateway.providers.iter().position(|known| known.name == provider)?;
    let models = &gateway.providers.get(at)?.models;
    let place = models.iter().position(|known| known.name == model)?;
    Some(((at, place), models.get(place)?.facts.mode))
}

impl Gateway {
    /// Gives each model the price that a document has for it, and all others their own.
    pub fn set_prices(&self, document: Document) {
        for model in self.providers.iter().flat_map(|provider| &provider.models) {
            model.set_price(None);
        }
        for ((provider, model), price) in document.prices {
            let found = self.providers.get(provider).and_then(|known| known.models.get(model));
            if let Some(model) = found {
                model.set_price(Some(price));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;
    use crate::config::Config;

    fn some() -> Box<Gateway> {
        let config = Config::read(&json!({
            "role": "gateway",
            "anonymous": "all",
            "tenants": {"all": {}},
            "providers": {
                "openai": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}, "text-embedding-3-small": {}, "none": {}}},
                "router": {"api": "openrouter", "endpoints": [{"cluster": "b"}], "models": {"openai/gpt-4o": {}}},
            },
        }));
        match config {
            Ok(Config::Gateway(gateway)) => gateway,
            other => panic!("{other:?}"),
        }
    }

    fn input(gateway: &Gateway, provider: usize, model: &str) -> Option<f64> {
        let price = gateway.providers[provider].model(model).unwrap().price()?;
        Some(price.base.input.usd_per_mtok())
    }

    #[test]
    fn a_document_replaces_prices_and_the_next_one_gives_them_back() {
        let gateway = some();
        let document = json!({"version": 1, "prices": {
            "openai/gpt-4o": {"input_usd_per_mtok": 7, "output_usd_per_mtok": 8},
            "openai/none": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1},
            "openai/text-embedding-3-small": {"input_usd_per_mtok": 3},
            "router/openai/gpt-4o": {"input_usd_per_mtok": 5, "output_usd_per_mtok": 6,
                "tiers": [{"above_input_tokens": 9, "input_usd_per_mtok": 6, "output_usd_per_mtok": 7}]},
            "openai/unknown": {"input_usd_per_mtok": 1},
            "elsewhere": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1},
        }});
        let read = read_document(document.to_string().as_bytes(), &gateway).unwrap();
        assert_eq!((read.prices.len(), read.ignored), (4, 2));
        assert_eq!((input(&gateway, 0, "gpt-4o"), input(&gateway, 0, "none")), (Some(2.5), None));
        gateway.set_prices(read);
        assert_eq!(
            (input(&gateway, 0, "gpt-4o"), input(&gateway, 0, "none")),
            (Some(7.0), Some(1.0))
        );
        assert_eq!(input(&gateway, 1, "openai/gpt-4o"), Some(5.0));
        gateway.set_prices(read_document(br#"{"version":1,"prices":{}}"#, &gateway).unwrap());
        assert_eq!((input(&gateway, 0, "gpt-4o"), input(&gateway, 0, "none")), (Some(2.5), None));
    }

    #[test]
    fn one_bad_price_refuses_the_document_and_is_named() {
        let gateway = some();
        let refused = |document: &str| -> Vec<String> {
            let problems = read_document(document.as_bytes(), &gateway).unwrap_err();
            problems.iter().map(ToString::to_string).collect()
        };
        for (document, problem) in [
            ("", "the document is not JSON: EOF while parsing a value at line 1 column 0"),
            ("[]", "must be an object, but is []"),
            (r#"{"prices":{}}"#, "needs the field \"version\""),
            (
                r#"{"version":2,"prices":{}}"#,
                "version: must be a whole number from 1 to 1, but is 2",
            ),
            (r#"{"version":1}"#, "needs the field \"prices\""),
            (
                r#"{"version":1,"prices":{"openai/gpt-4o":{"input_usd_per_mtok":-1,"output_usd_per_mtok":1}}}"#,
                "prices[\"openai/gpt-4o\"].input_usd_per_mtok: must be a number from 0 to 100000, but is -1",
            ),
            (
                r#"{"version":1,"prices":{"openai/gpt-4o":{"input_usd_per_mtok":1}}}"#,
                "prices[\"openai/gpt-4o\"]: a price needs both input_usd_per_mtok and output_usd_per_mtok, in USD per million tokens",
            ),
            (
                r#"{"version":1,"prices":{"openai/gpt-4o":{"input_usd_per_mtok":0.0000004,"output_usd_per_mtok":1}}}"#,
                "prices[\"openai/gpt-4o\"].input_usd_per_mtok: is so little that nothing would be charged; a price is of a million tokens, and 0 is free",
            ),
            (
                r#"{"version":1,"prices":{"unknown/m":{"input_usd_per_mtok":"one"}}}"#,
                "prices[\"unknown/m\"].input_usd_per_mtok: must be a number from 0 to 100000, but is \"one\"",
            ),
        ] {
            assert_eq!(refused(document).first().map(String::as_str), Some(problem), "{document}");
        }
    }

    #[test]
    fn a_document_is_bounded_in_bytes_and_prices() {
        let gateway = some();
        let all = |count: usize| {
            let prices: Vec<String> =
                (0..count).map(|at| format!(r#""x/{at}":{{"input_usd_per_mtok":1}}"#)).collect();
            format!(r#"{{"version":1,"prices":{{{}}}}}"#, prices.join(","))
        };
        assert_eq!(
            read_document(all(MAX_PRICES).as_bytes(), &gateway).unwrap().ignored,
            MAX_PRICES
        );
        let problems = read_document(all(MAX_PRICES + 1).as_bytes(), &gateway).unwrap_err();
        assert_eq!(
            problems[0].to_string(),
            "prices: there are 4097 prices; at most 4096 are taken"
        );
        let bare = r#"{"version":1,"prices":{}}"#;
        let most = [bare, &*" ".repeat(MAX_DOCUMENT_BYTES - bare.len())].concat();
        assert!(read_document(most.as_bytes(), &gateway).is_ok());
        assert!(read_document([&most, " "].concat().as_bytes(), &gateway).is_err());
    }
}
