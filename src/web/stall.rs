//! A connection that fails once the other side takes nothing for too long: hyper bounds the time of a request's head,
//! not that of an answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Bytes that a client takes in the time that it is waited for, at least. One that takes a byte now and then would hold an
/// answer, and all that it is made of, for days.
const LEAST: usize = 256 * 1024;

/// Bounds how long writes may make too little progress.
pub(super) struct StallGuard<I> {
    io: I,
    limit: Duration,
    /// Since when a write waits, and its end.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    /// How long writes have waited, and what was taken, since the client last took enough.
    waited: Duration,
    taken: usize,
}

impl<I> StallGuard<I> {
    pub(super) fn new(io: I, limit: Duration) -> Self {
        Self { io, limit, waiting: None, waited: Duration::ZERO, taken: 0 }
    }

    /// Pass on what a write came to, with the bytes that were taken; turn waiting past the limit into an error.
    fn bound<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
        taken: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(result) = &progress {
            if let Some((since, _)) = self.waiting.take() {
                self.waited += since.elapsed();
            }
            if let Ok(result) = result {
                self.taken = self.taken.saturating_add(taken(result));
            }
            if self.taken >= LEAST {
                (self.taken, self.waited) = (0, Duration::ZERO);
            }
            return progress;
        }
        let left = self.limit.saturating_sub(self.waited);
        let (_, end) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        ready!(end.as_mut().poll(cx));
        end.as_mut().reset(Instant::now() + self.limit);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes too little")))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for StallGuard<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for StallGuard<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.io).poll_write(cx, buf);
        self.bound(cx, progress, |taken| *taken)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.bound(cx, progress, |taken| *taken)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.io).poll_flush(cx);
        self.bound(cx, progress, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.io).poll_shutdown(cx);
        self.bound(cx, progress, |()| 0)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut() {
        let (near, _far) = duplex(16);
        let mut guarded = StallGuard::new(near, Duration::from_secs(30));
        let before = Instant::now();
        let error = guarded.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(before.elapsed().as_secs(), 30);
    }

    /// What a client gets who takes so much, and waits so long, again and again.
    async fn served(size: usize, each: usize, pause: Duration) -> (io::Result<()>, usize) {
        let (near, mut far) = duplex(each);
        let mut guarded = StallGuard::new(near, Duration::from_secs(30));
        let reader = tokio::spawn(async move {
            let (mut got, mut piece) = (0, vec![0; each]);
            while let Ok(count @ 1..) = far.read(&mut piece).await {
                got += count;
                tokio::time::sleep(pause).await;
            }
            got
        });
        let written = guarded.write_all(&vec![7; size]).await;
        drop(guarded);
        (written, reader.await.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_that_goes_on_reading_is_served() {
        let (written, got) = served(4 << 20, 64 * 1024, Duration::from_secs(5)).await;
        written.unwrap();
        assert_eq!(got, 4 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_little_now_and_then_is_cut() {
        let before = Instant::now();
        let (written, got) = served(4 << 20, 1024, Duration::from_secs(10)).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(got < 16 * 1024 && before.elapsed() < Duration::from_secs(120), "{got}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_rests_between_answers_is_none_of_them() {
        let (near, mut far) = duplex(1024);
        let mut guarded = StallGuard::new(near, Duration::from_secs(30));
        for _ in 0..100 {
            guarded.write_all(&[7; 1024]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(40)).await;
            far.read_exact(&mut [0; 1024]).await.unwrap();
        }
    }
}
