//! Reading shapes: Go's forgiveness, and errors that quote nothing.

use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::json;
use serde_json::value::RawValue;

use super::*;
use crate::cluster::{ObjectRef, PullSecret};

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn secret(data: &str) -> Result<PullSecret, ShapeError> {
    let text = raw(&format!(r#"{{"type":"kubernetes.io/dockerconfigjson","data":{{".dockerconfigjson":{data}}}}}"#));
    Ok(pull_secret(read_json(&text)?, ObjectRef::new("ci", "a"), &Interner::default()))
}

#[rstest]
#[case(r#""aGk=""#, b"hi")]
#[case(r#""aGl=""#, b"hi")]
#[case(r#""aG\nk\r\n=""#, b"hi")]
#[case(r#""aGk=\n""#, b"hi")]
#[case(r#""\u0061Gk=""#, b"hi")]
#[case(r#""""#, b"")]
#[case("null", b"")]
fn data_is_decoded_as_go_decodes_it(#[case] data: &str, #[case] expected: &[u8]) {
    let secret = secret(data).unwrap();
    assert_eq!(secret.dockerconfigjson.unwrap().expose_secret(), expected);
}

#[rstest]
#[case(r#""aGk""#)]
#[case(r#""aG k=""#)]
#[case(r#""aGk=\t""#)]
#[case(r#""_-8=""#)]
#[case("7")]
#[case("{}")]
#[case("[104]")]
fn data_that_go_refuses_is_refused(#[case] data: &str) {
    let error = secret(data).unwrap_err();
    assert_eq!(error.to_string(), r#"data[".dockerconfigjson"]: expected a string in base64"#);
}

#[test]
fn null_and_absent_are_the_zero_value() {
    for json in
        ["{}", r#"{"metadata":null,"spec":null,"status":null}"#, r#"{"spec":{"containers":null,"volumes":[null]}}"#]
    {
        let text = raw(json);
        let shape: PodShape<'_> = read_json(&text).unwrap();
        let pod = pod(&shape, ObjectRef::new("ci", "a"), &Interner::default()).expect("a pod");
        assert_eq!((&*pod.service_account, pod.images.len(), pod.pull_secrets.len()), ("default", 0, 0));
    }
}

#[test]
fn other_data_is_not_even_decoded() {
    let text = raw(r#"{"type":"Opaque","data":{"password":[{"a":"ghp_canary"}],"token":7}}"#);
    let secret = pull_secret(read_json(&text).unwrap(), ObjectRef::new("ci", "a"), &Interner::default());
    assert!(!secret.is_pull_secret());
}

#[rstest]
#[case("ghp_canary")]
#[case("expected ghp_canary")]
#[case("a, expected ghp_canary at line 3 column 4")]
#[case("ghp_canary at line 1 column 2, expected x")]
#[case("ghp_canary at line 3")]
#[case("\" at line 3 column 4 expected ghp_canary\"")]
fn errors_quote_nothing(#[case] value: &str) {
    for shape in [
        json!({"data": value}),
        json!({"data": {".dockerconfigjson": [value]}}),
        json!({"data": {".dockerconfigjson": value}}),
        json!({"stringData": value}),
        json!({"metadata": value}),
        json!({"metadata": {"name": [value]}}),
        json!({"type": {value: value}}),
    ] {
        let text = raw(&shape.to_string());
        let told = [
            read_json::<SecretShape<'_>>(&text).map(drop).unwrap_err().to_string(),
            read_tree::<SecretShape<'_>>(&shape).map(drop).unwrap_err().to_string(),
        ];
        for message in &told {
            assert!(!message.contains("ghp_canary") && message.contains(": expected a "), "{message}");
        }
        assert_eq!(told[0], told[1], "both ways of reading say the same");
    }
    let twice = raw(r#"{"type":"a","type":"b"}"#);
    let error = read_json::<SecretShape<'_>>(&twice).map(drop).unwrap_err();
    assert!(error.to_string().ends_with("is written more than once"), "{error}");
}
