//! Whether a connection of HTTP/2 has a request under way. The time of a request's head, which bounds idle connections of
//! HTTP/1.1, tells nothing there: many requests share one connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::sleep;

/// Counts the requests of one connection that are under way.
#[derive(Debug)]
pub(super) struct UnderWay(watch::Sender<usize>);

impl UnderWay {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// One more, until it is dropped.
    pub(super) fn hold(&self) -> Held {
        self.0.send_modify(|count| *count += 1);
        Held(self.0.clone())
    }

    /// Done once no request was under way for so long.
    pub(super) async fn idle_for(&self, limit: Duration) {
        let mut count = self.0.subscribe();
        loop {
            // An error would say that nobody counts any more, and `self` does.
            let _ = count.wait_for(|count| *count == 0).await;
            tokio::select! {
                () = sleep(limit) => return,
                _ = count.changed() => {}
            }
        }
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Held(watch::Sender<usize>);

impl Held {
    /// Goes on to the end of this body, or until nobody wants it any more.
    pub(super) fn with(self, body: Body) -> Body {
        Body::new(Answer { body, _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// The body of an answer.
struct Answer {
    body: Body,
    _held: Held,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_is_not_idle_and_each_begins_the_time_anew() {
        let (under_way, start) = (UnderWay::new(), Instant::now());
        let requests = async {
            let first = under_way.hold();
            sleep(Duration::from_secs(100)).await;
            let second = under_way.hold().with(Body::from("text"));
            drop(first);
            sleep(Duration::from_secs(100)).await;
            drop(second);
            sleep(Duration::from_secs(30)).await;
            drop(under_way.hold());
        };
        tokio::join!(requests, under_way.idle_for(Duration::from_secs(45)));
        assert_eq!(start.elapsed().as_secs(), 275);
    }
}
