//! The header `X-OAuth-Scopes`.

use http::HeaderMap;

/// Most scopes that are taken; GitHub knows about fifty.
const MOST: usize = 100;

/// The scopes as told: split at commas, trimmed, sorted, each once. `None` without the header, empty for an empty one:
/// the difference matters, since only tokens that have scopes carry it (GitHub docs, "Scopes for OAuth apps").
pub(crate) fn parse(headers: &HeaderMap) -> Option<Vec<String>> {
    let mut values = headers.get_all("x-oauth-scopes").iter().peekable();
    values.peek()?;
    let mut scopes: Vec<String> = values
        .flat_map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            text.split(',').map(|scope| scope.trim().to_owned()).collect::<Vec<_>>()
        })
        .filter(|scope| !scope.is_empty())
        .take(MOST)
        .collect();
    scopes.sort_unstable();
    scopes.dedup();
    Some(scopes)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn scopes(values: &[&str]) -> Option<Vec<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-oauth-scopes", HeaderValue::from_str(value).unwrap());
        }
        parse(&headers)
    }

    #[test]
    fn absent_and_empty_differ() {
        assert_eq!(scopes(&[]), None);
        assert_eq!(scopes(&[""]), Some(vec![]));
        assert_eq!(scopes(&[" , ,"]), Some(vec![]));
    }

    #[test]
    fn trimmed_sorted_unique() {
        let expected = Some(["read:org", "repo", "write:packages"].map(str::to_owned).to_vec());
        assert_eq!(scopes(&["write:packages,  repo ,read:org, repo"]), expected);
        assert_eq!(scopes(&["write:packages, repo", "read:org"]), expected);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.insert("x-oauth-scopes", value);
                let found = parse(&headers).unwrap();
                prop_assert!(found.len() <= MOST);
                prop_assert!(found.is_sorted());
            }
        }
    }
}
