//! Real programs: where `tests/real/setup` found them, and how a test starts them.
//!
//! Each lives on free ports of 127.0.0.1 with its data in a temporary folder, and dies when its handle is dropped.

mod alertmanager;
mod cluster;
mod hurry;
mod inbox;
mod process;
mod prometheus;
mod registry;
mod token_server;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{LazyLock, Once},
};

pub(crate) use self::{
    alertmanager::Alertmanager,
    cluster::RealCluster,
    hurry::hurried,
    inbox::{Inbox, Notification},
    process::{Output, run},
    prometheus::Prometheus,
    registry::{Auth, Image, Registry},
    token_server::User,
};

/// The path of a real program by its key in the file that `tests/real/setup` writes, such as `PROMTOOL`.
///
/// Panics when the file or the key is absent: a test without its program must fail, never pass.
pub(crate) fn program(key: &str) -> PathBuf {
    static PROGRAMS: LazyLock<Result<BTreeMap<String, PathBuf>, String>> = LazyLock::new(|| {
        let file =
            std::env::var_os("PULL_PATROL_REAL_ENV").map_or_else(|| checkout().join("target/real.env"), PathBuf::from);
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("{}: {error}; run tests/real/setup first", file.display()))?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, path)| (key.to_owned(), PathBuf::from(path)))
            .collect())
    });
    match &*PROGRAMS {
        Ok(programs) => {
            programs.get(key).unwrap_or_else(|| panic!("{key} is not known; run tests/real/setup first")).clone()
        }
        Err(error) => panic!("{error}"),
    }
}

/// The root of the checkout.
pub(crate) fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An HTTP client for the programs that a test started.
pub(crate) fn http_client() -> reqwest::Client {
    install_tls_provider();
    reqwest::Client::builder().no_proxy().build().expect("a client without options can be built")
}

/// Installs the one TLS provider, as the program's `main` does.
pub(crate) fn install_tls_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Another test of this process may have been faster by its own means: the provider is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
