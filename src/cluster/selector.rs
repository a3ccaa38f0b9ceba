//! Label selectors as the API server reads them, so that a folder of manifests is filtered like a cluster.
//!
//! Grammar and meaning: `k8s.io/apimachinery/pkg/labels/selector.go`. The comparisons `key>1` and `key<1` are refused:
//! they are of no use for choosing Secrets.

use std::collections::BTreeMap;

/// A label selector that was checked once and can be evaluated here or sent to the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    text: String,
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Exists,
    Absent,
    In(Vec<String>),
    /// Also holds where the label is absent.
    NotIn(Vec<String>),
}

/// A selector that does not follow the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label selector {selector:?}: {reason}; write it as for kubectl -l, for example \"!runner-pod,team in (a,b)\"")]
pub struct SelectorError {
    /// The selector as written.
    pub selector: String,
    /// What is wrong with it.
    pub reason: String,
}

impl LabelSelector {
    /// Parse a selector. The empty one selects everything.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let fail = |reason: String| SelectorError { selector: text.to_owned(), reason };
        let mut requirements = Vec::new();
        if !text.trim().is_empty() {
            for part in split(text).map_err(|reason| fail(reason.to_owned()))? {
                requirements.push(requirement(part.trim()).map_err(fail)?);
            }
        }
        Ok(Self { text: text.trim().to_owned(), requirements })
    }

    /// The selector as the API server takes it; empty when it selects everything.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.rule {
                Rule::Exists => value.is_some(),
                Rule::Absent => value.is_none(),
                Rule::In(values) => value.is_some_and(|value| values.contains(value)),
                Rule::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            }
        })
    }
}

/// Cut at the commas that stand outside of parentheses.
fn split(text: &str) -> Result<Vec<&str>, &'static str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut inside = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' if inside => return Err("a parenthesis stands inside of parentheses"),
            '(' => inside = true,
            ')' if !inside => return Err("a parenthesis is closed that was never opened"),
            ')' => inside = false,
            ',' if !inside => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err("a parenthesis is never closed");
    }
    parts.push(&text[start..]);
    Ok(parts)
}

fn requirement(part: &str) -> Result<Requirement, String> {
    if part.is_empty() {
        return Err("a requirement is empty".to_owned());
    }
    if let Some(absent) = part.strip_prefix('!') {
        return Ok(Requirement { key: key(absent)?, rule: Rule::Absent });
    }
    if part.contains(['<', '>']) {
        return Err(format!("{part:?} compares numbers, which is not supported here"));
    }
    for operator in ["!=", "==", "="] {
        if let Some((left, right)) = part.split_once(operator) {
            let values = vec![value(right)?];
            let rule = if operator == "!=" { Rule::NotIn(values) } else { Rule::In(values) };
            return Ok(Requirement { key: key(left)?, rule });
        }
    }
    let Some((head, list)) = part.split_once('(') else {
        return Ok(Requirement { key: key(part)?, rule: Rule::Exists });
    };
    let Some(list) = list.strip_suffix(')') else {
        return Err(format!("{part:?} goes on after its closing parenthesis"));
    };
    let values = list.split(',').map(value).collect::<Result<Vec<_>, _>>()?;
    let mut words = head.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(left), Some("in"), None) => Ok(Requirement { key: key(left)?, rule: Rule::In(values) }),
        (Some(left), Some("notin"), None) => Ok(Requirement { key: key(left)?, rule: Rule::NotIn(values) }),
        _ => Err(format!("{part:?} is neither \"key in (a,b)\" nor \"key notin (a,b)\"")),
    }
}

/// `[prefix/]name`: the prefix is a DNS subdomain, the name a label name.
fn key(text: &str) -> Result<String, String> {
    let text = text.trim();
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let good_prefix = prefix.is_none_or(|prefix| {
        !prefix.is_empty()
            && prefix.len() <= 253
            && prefix
                .split('.')
                .all(|label| is_word(label, |letter| letter.is_ascii_lowercase() || letter.is_ascii_digit(), "-"))
    });
    if good_prefix && name.len() <= 63 && is_word(name, |letter| letter.is_ascii_alphanumeric(), "-_.") {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a label key"))
    }
}

fn value(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() <= 63 && is_word(text, |letter| letter.is_ascii_alphanumeric(), "-_.") {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a label value"))
    }
}

/// Begins and ends with an outer letter, and holds only those and the inner ones.
fn is_word(text: &str, outer: impl Fn(char) -> bool, inner: &str) -> bool {
    text.starts_with(&outer)
        && text.ends_with(&outer)
        && text.chars().all(|letter| outer(letter) || inner.contains(letter))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[rstest]
    #[case("", &[], true)]
    #[case("  ", &[("a", "b")], true)]
    #[case("!runner-pod", &[], true)]
    #[case("!runner-pod", &[("runner-pod", "x")], false)]
    #[case("! runner-pod", &[("runner-pod", "")], false)]
    #[case("runner-pod", &[("runner-pod", "")], true)]
    #[case("runner-pod", &[], false)]
    #[case("a=b", &[("a", "b")], true)]
    #[case("a==b", &[("a", "b")], true)]
    #[case("a = b", &[("a", "c")], false)]
    #[case("a=b", &[], false)]
    #[case("a=", &[("a", "")], true)]
    #[case("a!=b", &[], true)]
    #[case("a!=b", &[("a", "c")], true)]
    #[case("a != b", &[("a", "b")], false)]
    #[case("a in (b,c)", &[("a", "c")], true)]
    #[case("a in ( b , c )", &[("a", "d")], false)]
    #[case("a in (b)", &[], false)]
    #[case("a in(b)", &[("a", "b")], true)]
    #[case("a notin (b, c)", &[], true)]
    #[case("a notin (b, c)", &[("a", "b")], false)]
    #[case("a,!b,c in (d,e)", &[("a", "x"), ("c", "e")], true)]
    #[case("a,!b,c in (d,e)", &[("a", "x"), ("b", ""), ("c", "e")], false)]
    #[case("app.kubernetes.io/name=x", &[("app.kubernetes.io/name", "x")], true)]
    fn selects_as_the_api_server_does(#[case] text: &str, #[case] pairs: &[(&str, &str)], #[case] expected: bool) {
        let selector = LabelSelector::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(selector.matches(&labels(pairs)), expected);
    }

    #[rstest]
    #[case("a,")]
    #[case(",")]
    #[case("!")]
    #[case("=b")]
    #[case("a b")]
    #[case("a in b")]
    #[case("a in (b")]
    #[case("a in b)")]
    #[case("a in ((b))")]
    #[case("a in (b) c")]
    #[case("a of (b)")]
    #[case("a>1")]
    #[case("-a")]
    #[case("a/b/c")]
    #[case("/a")]
    #[case("A.com/x")]
    #[case("a=b c")]
    #[case("a=b=c")]
    #[case("a=b&limit=1")]
    fn refuses_what_the_api_server_would_refuse(#[case] text: &str) {
        assert!(LabelSelector::parse(text).is_err(), "{text:?} was taken");
    }
}
