//! `WWW-Authenticate` (RFC 9110, 11.6.1): several challenges in one header or in many, quoted strings, any case.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// Longest header value that is looked at.
const VALUE_LIMIT: usize = 8 * 1024;
/// Most challenges of one answer.
const CHALLENGES: usize = 16;
/// Most parameters of one challenge.
const PARAMS: usize = 16;

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Challenge {
    /// In lower case.
    pub(crate) scheme: String,
    params: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter by its lower-case name; the first one counts.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// All challenges of an answer, in order.
pub(crate) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut found = Vec::new();
    for value in headers.get_all(WWW_AUTHENTICATE) {
        if value.len() <= VALUE_LIMIT {
            parse(&String::from_utf8_lossy(value.as_bytes()), &mut found);
        }
    }
    found
}

fn parse(text: &str, found: &mut Vec<Challenge>) {
    let mut rest = text;
    // A parameter belongs to the challenge before it in the same header only.
    let mut open = false;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = split_token(rest);
        if word.is_empty() {
            // Not a token: go on behind the next comma, or end.
            match rest.split_once(',') {
                Some((_, behind)) => rest = behind,
                None => return,
            }
            continue;
        }
        let blank = after.trim_start_matches([' ', '\t']);
        match blank.strip_prefix('=') {
            Some(value) if open && !value.starts_with('=') => {
                let (value, behind) = split_value(value.trim_start_matches([' ', '\t']));
                if let Some(params) =
                    found.last_mut().map(|challenge| &mut challenge.params).filter(|p| p.len() < PARAMS)
                {
                    params.push((word.to_ascii_lowercase(), value));
                }
                rest = behind;
            }
            // Padding, or a value without a challenge: the rest of a token68.
            Some(value) => rest = value.trim_start_matches('='),
            None => {
                if open && !starts_challenge(rest, text) {
                    // A token68, such as Negotiate's.
                    rest = after.trim_start_matches(|c: char| c != ',');
                    continue;
                }
                if found.len() == CHALLENGES {
                    return;
                }
                found.push(Challenge { scheme: word.to_ascii_lowercase(), params: Vec::new() });
                open = true;
                rest = after;
            }
        }
    }
}

/// Whether a word stands where a scheme may: at the beginning or behind a comma, not straight behind a scheme.
fn starts_challenge(rest: &str, text: &str) -> bool {
    let before = text[..text.len() - rest.len()].trim_end_matches([' ', '\t']);
    before.is_empty() || before.ends_with(',')
}

fn split_token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))).unwrap_or(text.len());
    text.split_at(end)
}

/// A quoted string or, leniently, everything up to a comma or white space.
fn split_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn all(values: &[&str]) -> Vec<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        challenges(&headers)
    }

    fn shape(values: &[&str]) -> Vec<(String, Vec<(String, String)>)> {
        all(values).into_iter().map(|c| (c.scheme, c.params)).collect()
    }

    fn one(scheme: &str, params: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
        (scheme.to_owned(), params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn the_challenge_of_ghcr() {
        let text = r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull""#;
        let found = all(&[text]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].scheme, "bearer");
        assert_eq!(found[0].param("realm"), Some("https://ghcr.io/token"));
        assert_eq!(found[0].param("service"), Some("ghcr.io"));
        assert_eq!(found[0].param("error"), None);
    }

    #[test]
    fn several_challenges_in_one_header_and_in_many() {
        let expected = vec![
            one("basic", &[("realm", "a, \"b\" = c")]),
            one("bearer", &[("realm", "https://x/t"), ("service", "s,t"), ("error", "insufficient_scope")]),
            one("negotiate", &[]),
        ];
        assert_eq!(
            shape(&[
                r#"BASIC Realm="a, \"b\" = c" , bearer REALM = "https://x/t", service="s,t",error=insufficient_scope, Negotiate"#
            ]),
            expected
        );
        assert_eq!(
            shape(&[
                r#"Basic realm="a, \"b\" = c""#,
                r#"Bearer realm="https://x/t",service="s,t",error="insufficient_scope""#,
                "Negotiate"
            ]),
            expected
        );
    }

    #[test]
    fn token68_is_passed_over() {
        assert_eq!(
            shape(&["Negotiate YIIabc+/def==, Basic realm=x, NTLM TlRMTVNTUAAB"]),
            vec![one("negotiate", &[]), one("basic", &[("realm", "x")]), one("ntlm", &[])]
        );
    }

    #[test]
    fn lenient_where_registries_are_sloppy() {
        assert_eq!(
            shape(&["Bearer realm=https://x/t?a=b,service=s", ",, Basic realm=\"open"]),
            vec![one("bearer", &[("realm", "https://x/t?a=b"), ("service", "s")]), one("basic", &[("realm", "open")])]
        );
        assert_eq!(
            shape(&["", "   ", "\"nonsense\"", "=", "(a), Basic realm=\"\""]),
            vec![one("basic", &[("realm", "")])]
        );
    }

    #[test]
    fn bounded() {
        assert_eq!(all(&[&"Basic a=b, ".repeat(500)]).len(), CHALLENGES);
        let many = "p=v,".repeat(100);
        assert_eq!(all(&[&format!("Bearer {many}")])[0].params.len(), PARAMS);
        assert!(all(&[&format!("Basic realm=\"{}\"", "x".repeat(VALUE_LIMIT))]).is_empty());
    }

    proptest! {
        #[test]
        fn never_panics(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..4)) {
            let mut headers = HeaderMap::new();
            for value in values {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.append(WWW_AUTHENTICATE, value);
                }
            }
            let found = challenges(&headers);
            prop_assert!(found.len() <= CHALLENGES);
            prop_assert!(found.iter().all(|c| !c.scheme.is_empty() && c.params.len() <= PARAMS));
        }

        #[test]
        fn never_panics_on_near_misses(text in r#"[Ba-e ,="\\;/:\t=€]{0,60}"#) {
            let mut found = Vec::new();
            parse(&text, &mut found);
        }

        #[test]
        fn quoted_values_come_back(value in "[ -~]{0,40}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let found = all(&[&format!("Bearer realm=\"{quoted}\", service=\"s\", Basic realm=\"b\"")]);
            prop_assert_eq!(found.len(), 2);
            prop_assert_eq!(found[0].param("realm"), Some(value.as_str()));
            prop_assert_eq!(found[0].param("service"), Some("s"));
        }
    }
}
