//! Names of the listening hosts.

/// One listening socket of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// The registry of github.com.
    Ghcr,
    /// `api.github.com`.
    GithubApi,
    /// The registry of the n-th enterprise instance.
    EnterpriseRegistry(u32),
    /// The API of the n-th enterprise instance.
    EnterpriseApi(u32),
    /// The n-th other registry.
    Registry(u32),
    /// The token service (for GitLab also the API) of the n-th other registry, where it is a host of its own.
    TokenService(u32),
}

/// Who knows a token or a package: a GitHub instance (0 is github.com) or one other registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Home {
    Github(u32),
    Registry(u32),
}

impl Home {
    pub(crate) fn registry_host(self) -> Host {
        match self {
            Self::Github(0) => Host::Ghcr,
            Self::Github(instance) => Host::EnterpriseRegistry(instance),
            Self::Registry(id) => Host::Registry(id),
        }
    }
}

impl Host {
    pub(crate) fn home(self) -> Home {
        match self {
            Self::Ghcr | Self::GithubApi => Home::Github(0),
            Self::EnterpriseRegistry(instance) | Self::EnterpriseApi(instance) => Home::Github(instance),
            Self::Registry(id) | Self::TokenService(id) => Home::Registry(id),
        }
    }

    /// Whether it speaks the GitHub API.
    pub(crate) fn is_github_api(self) -> bool {
        matches!(self, Self::GithubApi | Self::EnterpriseApi(_))
    }
}
