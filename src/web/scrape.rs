//! `/metrics`.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;

use super::{Faces, text};
use crate::metrics::CONTENT_TYPE;

/// The exposition. Text format 0.0.4 is the last resort of every scraper, so whatever `Accept` says, this is the
/// answer.
pub(super) async fn metrics(State(faces): State<Faces>, headers: HeaderMap) -> Response {
    let snapshot = faces.snapshot();
    let exposition = faces.exposition;
    if accepts_gzip(&headers) {
        let body = tokio::task::spawn_blocking(move || exposition.gzip(&snapshot)).await;
        match body {
            Ok(Ok(body)) => {
                let parts = body.parts.map(Ok::<Bytes, std::convert::Infallible>);
                let headers = [
                    (header::CONTENT_TYPE, CONTENT_TYPE),
                    (header::CONTENT_ENCODING, "gzip"),
                    (header::VARY, "accept-encoding"),
                ];
                (headers, Body::from_stream(stream::iter(parts))).into_response()
            }
            Ok(Err(error)) => failed(&error),
            Err(error) => failed(&error),
        }
    } else {
        match exposition.plain(snapshot) {
            Ok(pieces) => {
                let pieces = pieces.map(Ok::<Bytes, std::convert::Infallible>);
                let headers = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::VARY, "accept-encoding")];
                (headers, Body::from_stream(stream::iter(pieces))).into_response()
            }
            Err(error) => failed(&error),
        }
    }
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "the exposition could not be encoded");
    text(StatusCode::INTERNAL_SERVER_ERROR, "the exposition could not be encoded; the log says why\n")
}

/// Whether gzip is among the codings that the client takes (RFC 9110, 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for coding in value.to_str().unwrap_or_default().split(',') {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = parameters.split(';').find_map(|parameter| {
                let (key, value) = parameter.split_once('=')?;
                key.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().unwrap_or(0.0))
            });
            let taken = weight.is_none_or(|weight| weight > 0.0);
            match name.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => return taken,
                "*" => any = taken,
                _ => {}
            }
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_only_when_asked() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            accepts_gzip(&headers)
        };
        assert!(!accepts_gzip(&HeaderMap::new()));
        for yes in ["gzip", "deflate, GZIP;q=0.5", "*", "br;q=1, *;q=0.1", "x-gzip"] {
            assert!(accepts(yes), "{yes}");
        }
        for no in ["identity", "gzip;q=0", "gzip; q=0.0, *", "br", "*;q=0", "gzip;q=x"] {
            assert!(!accepts(no), "{no}");
        }
    }
}
