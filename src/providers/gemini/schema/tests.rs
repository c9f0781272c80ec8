#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn written(schema: &str, form: Form, object: bool) -> Result<(String, Written), Fault> {
    let mut out = Vec::new();
    let schema = serde_json::from_str(schema).unwrap();
    let written = write(schema, form, object, &mut Room::new(), &mut out)?;
    Ok((String::from_utf8(out).unwrap(), written))
}

fn json(schema: &str) -> String {
    written(schema, Form::Json, false).unwrap().0
}

fn open_api(schema: &str) -> String {
    written(schema, Form::OpenApi, false).unwrap().0
}

fn fault(schema: &str, form: Form) -> (String, &'static str) {
    let fault = written(schema, form, false).unwrap_err();
    (fault.path, fault.why)
}

#[test]
fn what_both_forms_know_stays_in_its_order() {
    let schema = r#"{"type":"object","title":"T","properties":{"z":{"type":"integer","minimum":1.0,"format":"int32"},"a":{"type":"array","items":{"type":"string","enum":["x","y"]},"maxItems":3}},"required":["z","gone"],"description":"D"}"#;
    assert_eq!(
        json(schema),
        r#"{"type":"object","title":"T","properties":{"z":{"type":"integer","minimum":1.0,"format":"int32"},"a":{"type":"array","items":{"type":"string","enum":["x","y"]},"maxItems":3}},"required":["z"],"description":"D"}"#
    );
    assert!(
        open_api(schema)
            .starts_with(r#"{"type":"OBJECT","title":"T","properties":{"z":{"type":"INTEGER""#)
    );
}

#[test]
fn what_says_nothing_to_the_api_is_left_out() {
    assert_eq!(
        json(
            r#"{"$schema":"s","$id":"i","$comment":"c","strict":true,"x-order":1,"type":"object","properties":{},"additionalProperties":false}"#
        ),
        r#"{"type":"object","additionalProperties":false,"properties":{}}"#
    );
}

#[test]
fn arguments_of_which_there_are_none_have_no_schema() {
    let empty = |schema: &str, form| written(schema, form, true).unwrap().1.empty;
    for schema in
        ["{}", r#"{"$schema":"s","type":"object","properties":{},"additionalProperties":false}"#]
    {
        assert!(empty(schema, Form::Json) && empty(schema, Form::OpenApi), "{schema}");
    }
    let open = r#"{"type":"object","additionalProperties":{"type":"string"}}"#;
    assert!(!empty(open, Form::Json) && empty(open, Form::OpenApi));
}

#[test]
fn what_is_not_known_is_told_in_the_description() {
    let (schema, written) = written(
        r#"{"type":"string","minLength": 2,"description":"A \"n\"","pattern":"^a$","format":"email"}"#,
        Form::Json,
        false,
    )
    .unwrap();
    assert_eq!(
        schema,
        r#"{"type":"string","description":"A \"n\"\n\n{minLength: 2, pattern: \"^a$\", format: \"email\"}"}"#
    );
    assert!(written.narrowed);
    assert_eq!(
        open_api(r#"{"type":"string","minLength":2,"pattern":"^a$","default":"a"}"#),
        r#"{"type":"STRING","minLength":2,"pattern":"^a$","default":"a"}"#
    );
}

#[test]
fn null_is_a_type_or_a_flag() {
    let schema = r#"{"type":["string","null"]}"#;
    assert_eq!(json(schema), r#"{"type":["string","null"]}"#);
    assert_eq!(open_api(schema), r#"{"type":"STRING","nullable":true}"#);
    assert_eq!(json(r#"{"type":"string","nullable":true}"#), r#"{"type":["string","null"]}"#);
    assert_eq!(
        open_api(r#"{"anyOf":[{"type":"integer"},{"type":"null"}],"title":"T"}"#),
        r#"{"type":"INTEGER","nullable":true}"#
    );
    assert_eq!(
        open_api(r#"{"oneOf":[{"type":"integer"},{"type":"string"},{"type":"null"}],"default":1}"#),
        r#"{"anyOf":[{"type":"INTEGER","nullable":true},{"type":"STRING","nullable":true}]}"#
    );
    assert_eq!(
        open_api(r#"{"type":["string","integer","null"]}"#),
        r#"{"anyOf":[{"type":"STRING","nullable":true},{"type":"INTEGER","nullable":true}]}"#
    );
}

#[test]
fn a_constant_is_a_list_of_one_and_open_api_lists_strings_only() {
    assert_eq!(json(r#"{"const":1}"#), r#"{"enum":[1]}"#);
    assert_eq!(open_api(r#"{"const":"a"}"#), r#"{"type":"STRING","enum":["a"]}"#);
    assert_eq!(
        open_api(r#"{"type":"string","enum":["a","",null]}"#),
        r#"{"type":"STRING","enum":["a"]}"#
    );
    assert_eq!(
        open_api(r#"{"type":"integer","enum":[1,2]}"#),
        r#"{"type":"INTEGER","description":"{enum: [1,2]}"}"#
    );
}

#[test]
fn an_open_api_array_has_items() {
    assert_eq!(open_api(r#"{"type":"array"}"#), r#"{"type":"ARRAY","items":{"type":"STRING"}}"#);
}

#[test]
fn one_of_is_any_of_and_all_of_is_written_out() {
    assert_eq!(
        json(r#"{"oneOf":[{"type":"string"},true]}"#),
        r#"{"anyOf":[{"type":"string"},{}]}"#
    );
    assert_eq!(
        json(
            r#"{"description":"D","allOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{"type":"number"}},"description":"E"}]}"#
        ),
        r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"number"}},"required":["a"],"description":"D"}"#
    );
}

#[test]
fn references_are_written_out_where_they_stand() {
    let schema = r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A","description":"own"},"b":{"$ref":"#/definitions/B"},"c":{"$ref":"#/properties/a"},"d":{"$ref":"#/$defs/x~1y"}},"$defs":{"A":{"type":"string","description":"its"},"x/y":{"type":"null"}},"definitions":{"B":{"type":"array","items":{"$ref":"#/$defs/A"}}}}"##;
    let expected = r#"{"type":"object","properties":{"a":{"type":"string","description":"own"},"b":{"type":"array","items":{"type":"string","description":"its"}},"c":{"type":"string","description":"own"},"d":{"type":"null"}}}"#;
    assert_eq!(json(schema), expected);
}

const TREE: &str = r##"{"$defs":{"Node":{"type":"object","properties":{"value":{"type":"string"},"next":{"$ref":"#/$defs/Node"}}}},"type":"object","properties":{"root":{"$ref":"#/$defs/Node"}}}"##;

#[test]
fn a_schema_of_itself_keeps_its_references_where_the_form_has_them() {
    assert_eq!(
        json(TREE),
        r##"{"type":"object","properties":{"root":{"$ref":"#/$defs/Node"}},"$defs":{"Node":{"type":"object","properties":{"value":{"type":"string"},"next":{"$ref":"#/$defs/Node"}}}}}"##
    );
    assert_eq!(
        json(r##"{"type":"object","properties":{"next":{"$ref":"#"}}}"##),
        r##"{"type":"object","properties":{"next":{"$ref":"#"}}}"##
    );
    assert_eq!(
        json(
            r##"{"$ref":"#/definitions/N","definitions":{"N":{"properties":{"n":{"$ref":"#/definitions/N"}}}}}"##
        ),
        r##"{"$ref":"#/$defs/N","$defs":{"N":{"type":"object","properties":{"n":{"$ref":"#/$defs/N"}}}}}"##
    );
}

#[test]
fn what_cannot_be_expressed_is_refused_with_its_place() {
    assert_eq!(fault(TREE, Form::OpenApi), (".properties.root.properties.next".to_owned(), CYCLE));
    let cycle = r##"{"properties":{"a":{"items":{"$ref":"#/properties/a"}}}}"##;
    for form in [Form::Json, Form::OpenApi] {
        assert_eq!(fault(cycle, form).1, CYCLE);
        for (schema, path, why) in [
            (r##"{"properties":{"a":{"$ref":"#/$defs/X"}}}"##, ".properties.a", UNRESOLVED),
            (r#"{"items":{"$ref":"https://x.test/s.json"}}"#, ".items", UNRESOLVED),
            (r#"{"anyOf":[{"type":"string"},{"items":false}]}"#, ".anyOf[1].items", NOTHING),
            (r#"{"properties":{"a":1}}"#, ".properties.a", NO_SCHEMA),
            (r#"{"allOf":[1]}"#, "", NO_SCHEMA),
        ] {
            assert_eq!(fault(schema, form), (path.to_owned(), why), "{schema}");
        }
    }
    let root = written(r#"{"type":"string"}"#, Form::Json, true).unwrap_err();
    assert_eq!(root.why, NO_OBJECT);
}

#[test]
fn arguments_are_an_object_whatever_else_they_may_be() {
    let arguments = |schema: &str| written(schema, Form::Json, true).unwrap().0;
    assert_eq!(arguments("{}"), r#"{"type":"object","properties":{}}"#);
    assert_eq!(
        arguments(r#"{"type":["object","null"],"properties":{"a":{}}}"#),
        r#"{"type":"object","properties":{"a":{}}}"#
    );
}

#[test]
fn depth_and_size_have_bounds() {
    let nested =
        |depth: usize| format!("{}{{}}{}", r#"{"items":"#.repeat(depth), "}".repeat(depth));
    assert!(written(&nested(MAX_DEPTH), Form::Json, false).is_ok());
    assert_eq!(fault(&nested(MAX_DEPTH + 1), Form::Json).1, TOO_DEEP);
    assert!(written(&nested(100), Form::Json, false).is_err());

    let keywords: Vec<String> = (0..MAX_KEYWORDS + 2).map(|at| format!("\"k{at}\":1")).collect();
    assert_eq!(fault(&format!("{{{}}}", keywords.join(",")), Form::Json).1, TOO_LARGE);

    // Each definition holds the next one twice.
    let doubling: Vec<String> = (0..40)
        .map(|at| {
            let next = at + 1;
            format!(
                r##""d{at}":{{"properties":{{"a":{{"$ref":"#/$defs/d{next}"}},"b":{{"$ref":"#/$defs/d{next}"}}}}}}"##
            )
        })
        .collect();
    let doubling =
        format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d40":{{}}}}}}"##, doubling.join(","));
    assert_eq!(fault(&doubling, Form::OpenApi).1, TOO_LARGE);
    assert!(json(&doubling).len() < 2 * doubling.len());
    assert!(json(&doubling).starts_with(r##"{"$ref":"#/$defs/d0","$defs":"##));

    // Several may not make together what one may not.
    let wide: Vec<String> =
        (0..100).map(|at| format!(r##""p{at}":{{"$ref":"#/$defs/d"}}"##)).collect();
    let wide = format!(
        r##"{{"properties":{{{}}},"$defs":{{"d":{{"title":"{}"}}}}}}"##,
        wide.join(","),
        "x".repeat(MAX_GROWTH / 200)
    );
    let wide: &RawValue = serde_json::from_str(&wide).unwrap();
    let (mut room, mut out) = (Room::new(), Vec::new());
    let mut again = || write(wide, Form::OpenApi, false, &mut room, &mut out);
    assert!(again().is_ok());
    assert!((0..2).any(|_| again().is_err_and(|fault| fault.why == TOO_LARGE)));

    let chain: Vec<String> =
        (0..100).map(|at| format!(r##""c{at}":{{"$ref":"#/$defs/c{}"}}"##, at + 1)).collect();
    let chain = format!(r##"{{"$ref":"#/$defs/c0","$defs":{{{},"c100":{{}}}}}}"##, chain.join(","));
    assert_eq!(fault(&chain, Form::OpenApi).1, TOO_DEEP);
}

#[test]
fn open_apis_form_keeps_what_stands_beside_a_choice() {
    let told = |schema: &str| written(schema, Form::OpenApi, false).unwrap().0;
    assert_eq!(
        told(r#"{"anyOf":[{"type":"string"},{"type":"null"}],"description":"Which"}"#),
        r#"{"type":"STRING","nullable":true,"description":"Which"}"#
    );
    assert_eq!(
        told(
            r#"{"anyOf":[{"type":"string","description":"A name"},{"type":"integer"}],"description":"Which"}"#
        ),
        r#"{"anyOf":[{"type":"STRING","description":"A name"},{"type":"INTEGER","description":"Which"}]}"#
    );
    assert_eq!(told(r#"{"anyOf":[{"type":"null"}]}"#), r#"{"type":"NULL"}"#);
}

#[test]
fn open_apis_form_has_a_type_at_each_place() {
    let told = |schema: &str| {
        let schema = format!(r#"{{"properties":{{"a":{schema}}}}}"#);
        let (json, written) = written(&schema, Form::OpenApi, false).unwrap();
        let json = json.strip_prefix(r#"{"type":"OBJECT","properties":{"a":"#).unwrap().to_owned();
        (json.strip_suffix("}}").unwrap().to_owned(), written.narrowed)
    };
    assert_eq!(told(r#"{"const":"x"}"#), (r#"{"type":"STRING","enum":["x"]}"#.into(), false));
    let five = r#"{"type":"INTEGER","description":"{const: 5}"}"#;
    assert_eq!(told(r#"{"const":5}"#), (five.into(), true));
    let number = r#"{"type":"NUMBER","description":"{enum: [0.5,1.5]}"}"#;
    assert_eq!(told(r#"{"enum":[0.5,1.5]}"#), (number.into(), true));
    for anything in ["{}", "true"] {
        assert_eq!(told(anything), (r#"{"type":"STRING"}"#.into(), true));
    }
    let list = r#"{"type":"ARRAY","items":{"type":"STRING"}}"#;
    assert_eq!(told(r#"{"items":{}}"#), (list.into(), true));
}

#[test]
fn a_closed_tuple_is_told() {
    let tuple = r#"{"type":"array","prefixItems":[{"type":"string"}],"items":false}"#;
    assert_eq!(
        json(tuple),
        r#"{"type":"array","prefixItems":[{"type":"string"}],"description":"{items: false}"}"#
    );
}

#[test]
fn a_property_that_returns_to_its_schema_is_not_required() {
    let list = r##"{"type":"object","properties":{"first":{"$ref":"#/$defs/N"}},"required":["first"],"$defs":{"N":{"type":"object","properties":{"value":{"type":"string"},"next":{"anyOf":[{"$ref":"#/$defs/N"},{"type":"null"}]}},"required":["value","next"]}}}"##;
    let (told, said) = written(list, Form::Json, false).unwrap();
    assert_eq!(told, list.replace(r#""required":["value","next"]"#, r#""required":["value"]"#));
    assert!(said.narrowed);
    // By way of another, and by way of the whole.
    let two = r##"{"$ref":"#/$defs/A","$defs":{"A":{"properties":{"b":{"$ref":"#/$defs/B"}},"required":["b"]},"B":{"properties":{"a":{"$ref":"#/$defs/A"},"c":{}},"required":["a","c"]}}}"##;
    let told = json(two);
    assert!(
        !told.contains(r#""required":["b"]"#) && told.contains(r#""required":["c"]"#),
        "{told}"
    );
    // The search has a bound, beyond which nothing is refused.
    let long: Vec<String> =
        (0..200).map(|at| format!(r##""p{at}":{{"$ref":"#/$defs/M"}}"##)).collect();
    let long = format!(
        r##"{{"properties":{{{},"up":{{"$ref":"#"}}}},"required":["up"],"$defs":{{"M":{{"title":"{}"}}}}}}"##,
        long.join(","),
        "x".repeat(node::MAX_SEARCH / 100)
    );
    assert!(json(&long).contains(r#""required":["up"]"#));
    let whole = r##"{"properties":{"up":{"$ref":"#"},"x":{}},"required":["up","x"]}"##;
    assert!(json(whole).contains(r#""required":["x"]"#));
}
