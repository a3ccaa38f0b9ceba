//! `/-/reload`: hands on the wish to read the config file again, as Prometheus does with `--web.enable-lifecycle`.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use tokio::sync::{mpsc, oneshot};

use super::{Faces, text};

/// Where.
pub(super) const PATH: &str = "/-/reload";

/// Somebody wants the config read again.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Where to tell what came of it, in words.
    pub reply: oneshot::Sender<Result<String, String>>,
}

/// Whoever reads the config again.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::Sender<ReloadRequest>);

impl Reloader {
    /// Requests go there, one at a time.
    pub fn new(requests: mpsc::Sender<ReloadRequest>) -> Self {
        Self(requests)
    }
}

/// Have the config read again, and tell what came of it.
pub(super) async fn reload(State(faces): State<Faces>, uri: Uri, headers: HeaderMap) -> Response {
    if is_from_another_site(&uri, &headers) {
        return text(StatusCode::FORBIDDEN, "not from another site\n");
    }
    let gone = || text(StatusCode::SERVICE_UNAVAILABLE, "the daemon stops\n");
    let Some(Reloader(requests)) = faces.reloader else { return gone() };
    let (reply, answer) = oneshot::channel();
    if requests.send(ReloadRequest { reply }).await.is_err() {
        return gone();
    }
    match answer.await {
        Ok(Ok(told)) => text(StatusCode::OK, format!("{told}\n")),
        Ok(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload the config: {error}\n")),
        Err(_) => gone(),
    }
}

/// Whether a page of another site made a browser send this request. Browsers say so: over TLS and to their own machine by Fetch
/// Metadata (W3C), and with every POST by the origin of the page (RFC 6454, section 7).
fn is_from_another_site(uri: &Uri, headers: &HeaderMap) -> bool {
    let said = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let asked = uri.authority().map(|authority| authority.as_str().as_bytes()).or_else(|| said("host"));
    let by_site = said("sec-fetch-site").is_some_and(|site| site != b"same-origin" && site != b"none");
    let by_origin = said("origin").is_some_and(|origin| {
        let host = origin.windows(3).position(|part| part == b"://").map(|at| &origin[at + 3..]);
        host.zip(asked).is_none_or(|(host, asked)| !host.eq_ignore_ascii_case(asked))
    });
    by_site || by_origin
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_program(&[("host", "patrol:9797")], false)]
    #[case::our_own_page(&[("host", "patrol:9797"), ("origin", "http://patrol:9797")], false)]
    #[case::typed_in(&[("host", "patrol:9797"), ("sec-fetch-site", "none")], false)]
    #[case::our_own_page_over_tls(&[("host", "Patrol"), ("origin", "https://patrol"), ("sec-fetch-site", "same-origin")], false)]
    #[case::over_tls(&[("host", "patrol"), ("sec-fetch-site", "cross-site")], true)]
    #[case::a_neighbour(&[("host", "a.example.com"), ("sec-fetch-site", "same-site")], true)]
    #[case::over_plain_http(&[("host", "patrol:9797"), ("origin", "http://evil.example")], true)]
    #[case::another_port(&[("host", "patrol:9797"), ("origin", "http://patrol:8080")], true)]
    #[case::a_page_that_hides(&[("host", "patrol:9797"), ("origin", "null")], true)]
    fn browsers_tell_who_made_them_ask(#[case] said: &[(&'static str, &'static str)], #[case] refused: bool) {
        let headers = said.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()));
        let headers: HeaderMap = headers.collect();
        assert_eq!(is_from_another_site(&Uri::from_static("/-/reload"), &headers), refused);
    }

    #[test]
    fn http_2_names_the_host_in_the_target() {
        let headers: HeaderMap =
            [(axum::http::header::ORIGIN, "https://patrol:9797".parse().unwrap())].into_iter().collect();
        assert!(!is_from_another_site(&Uri::from_static("https://patrol:9797/-/reload"), &headers));
        assert!(is_from_another_site(&Uri::from_static("https://elsewhere:9797/-/reload"), &headers));
    }
}
