//! Name resolution behind the address guard: every connection resolves through it, so a name that changes its answer
//! between check and connect gains nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;

/// Turns a host name into addresses.
pub trait Lookup: Send + Sync {
    /// The addresses of a name, in the order to try them; an error or none when it does not resolve.
    fn lookup(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the system (`getaddrinfo`).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// Why a name gave no address to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LookupFault {
    /// It resolves, but only to addresses that are not allowed.
    #[error("the name resolves only to addresses that are not allowed")]
    Refused,
    /// It does not resolve.
    #[error("the name does not resolve")]
    Unresolved,
}

/// A resolver that passes only allowed addresses on.
pub(super) struct GuardedResolver {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) allow_private: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = self.lookup.lookup(name.as_str());
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = addresses.await.map_err(|_| LookupFault::Unresolved)?;
            if found.is_empty() {
                return Err(LookupFault::Unresolved.into());
            }
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| allow_private || is_public(*address))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if allowed.is_empty() {
                return Err(LookupFault::Refused.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<IpAddr>);

    impl Lookup for Fixed {
        fn lookup(&self, _host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            let addresses = self.0.clone();
            Box::pin(async move { Ok(addresses) })
        }
    }

    async fn resolve(addresses: &[&str], allow_private: bool) -> Result<Vec<IpAddr>, LookupFault> {
        let lookup = Arc::new(Fixed(addresses.iter().map(|a| a.parse().unwrap()).collect()));
        let resolver = GuardedResolver { lookup, allow_private };
        match resolver.resolve("registry.example".parse().unwrap()).await {
            Ok(found) => Ok(found.map(|a| a.ip()).collect()),
            Err(error) => Err(*error.downcast::<LookupFault>().unwrap()),
        }
    }

    #[tokio::test]
    async fn filters_what_is_not_allowed() {
        let mixed = ["10.0.0.1", "8.8.8.8", "::1"];
        assert_eq!(resolve(&mixed, false).await, Ok(vec!["8.8.8.8".parse().unwrap()]));
        assert_eq!(resolve(&mixed, true).await.unwrap().len(), 3);
        assert_eq!(resolve(&["127.0.0.1", "::ffff:10.0.0.1"], false).await, Err(LookupFault::Refused));
        assert_eq!(resolve(&[], false).await, Err(LookupFault::Unresolved));
    }
}
