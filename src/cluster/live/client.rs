//! The way to an API server.

use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};

/// No client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig file that was named cannot be used.
    #[error("cannot use the kubeconfig {path}{}; check that it exists and has this context (`kubectl config get-contexts --kubeconfig {path}`)", in_context(.context.as_deref()), path = .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context, if one was named.
        context: Option<String>,
        /// What is wrong.
        #[source]
        cause: Box<KubeconfigError>,
    },
    /// There is no kubeconfig to fall back to.
    #[error("cannot use the default kubeconfig ($KUBECONFIG or ~/.kube/config){}; name one with --kubeconfig", in_context(.context.as_deref()))]
    NoCluster {
        /// The context, if one was named.
        context: Option<String>,
        /// What is wrong.
        #[source]
        cause: Box<KubeconfigError>,
    },
    /// The `ServiceAccount` of this pod cannot be used.
    #[error(
        "this runs in a pod, but the token of its ServiceAccount cannot be used; set automountServiceAccountToken to true, or name a kubeconfig with --kubeconfig"
    )]
    InCluster {
        /// What is wrong.
        #[source]
        cause: Box<InClusterError>,
    },
    /// The configuration was read, but does not make a client.
    #[error("cannot make a connection to {url} of what the kubeconfig says; check its certificates and its user entry")]
    Connection {
        /// The API server.
        url: String,
        /// What is wrong.
        #[source]
        cause: Box<kube::Error>,
    },
}

fn in_context(context: Option<&str>) -> String {
    context.map(|context| format!(" with the context {context:?}")).unwrap_or_default()
}

/// A client for the cluster that is meant: the kubeconfig or context that was named (by flag, or by `KUBECONFIG`), else the
/// cluster in which this pod runs, else the default kubeconfig.
///
/// kube's debugging variables (`KUBE_RS_DEBUG_*`) are not honoured: they could send a token to any address.
pub async fn client(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<kube::Client, ClientError> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let in_cluster =
        kubeconfig.is_none() && context.is_none() && !is_set("KUBECONFIG") && is_set("KUBERNETES_SERVICE_HOST");
    let config = if in_cluster {
        Config::incluster().map_err(|cause| ClientError::InCluster { cause: Box::new(cause) })?
    } else {
        from_kubeconfig(kubeconfig, context).await?
    };
    connect(config)
}

async fn from_kubeconfig(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Config, ClientError> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let context = options.context.clone();
    match kubeconfig {
        Some(path) => {
            let fail = |cause| ClientError::Kubeconfig { path: path.to_owned(), context, cause: Box::new(cause) };
            match Kubeconfig::read_from(path) {
                Ok(file) => Config::from_custom_kubeconfig(file, &options).await.map_err(fail),
                Err(cause) => Err(fail(cause)),
            }
        }
        None => Config::from_kubeconfig(&options)
            .await
            .map_err(|cause| ClientError::NoCluster { context, cause: Box::new(cause) }),
    }
}

fn connect(mut config: Config) -> Result<kube::Client, ClientError> {
    // kube's own policy repeats a request up to 15 times with pauses of up to 1,000 s; ours tells and counts each failure.
    config.default_retry = false;
    let url = config.cluster_url.to_string();
    kube::Client::try_from(config).map_err(|cause| ClientError::Connection { url, cause: Box::new(cause) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn errors_say_what_and_where_and_leave_the_cause_to_their_source() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("config");
        let Err(error) = client(Some(&file), None).await else { panic!("there is no such file") };
        let told = error.to_string();
        assert!(told.starts_with(&format!("cannot use the kubeconfig {}; check", file.display())), "{told}");
        assert!(std::error::Error::source(&error).is_some());

        std::fs::write(&file, "{apiVersion: v1, kind: Config, contexts: [], clusters: [], users: []}").unwrap();
        let Err(error) = client(Some(&file), Some("prod")).await else { panic!("there is no such context") };
        assert!(error.to_string().contains("with the context \"prod\"; check"), "{error}");
    }
}
