//! Debian's `docker-registry` (the registry of the distribution project), with either of its two ways to log in, and
//! `skopeo` as the client that it is judged with.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use super::{
    http_client,
    process::{Daemon, Output, free_port, run},
    program,
    token_server::{ISSUER, SERVICE, TokenServer, User},
};

/// How clients log in.
#[derive(Clone, Debug)]
pub(crate) enum Auth {
    /// `Basic` against a password file: user names and passwords. Whoever logs in may do everything.
    Htpasswd(BTreeMap<String, String>),
    /// `Bearer` with tokens of a token service.
    Token(BTreeMap<String, User>),
}

/// A running registry over plain HTTP.
#[derive(Debug)]
pub(crate) struct Registry {
    host: String,
    token_server: Option<TokenServer>,
    _daemon: Daemon,
    _folder: TempDir,
}

impl Registry {
    /// Starts an empty registry.
    pub(crate) async fn start(auth: Auth) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path();
        let (auth, token_server) = match auth {
            Auth::Htpasswd(users) => {
                let file = write_htpasswd(&users, path).await;
                (serde_json::json!({"htpasswd": {"realm": "test registry", "path": file}}), None)
            }
            Auth::Token(users) => {
                let server = TokenServer::start(users, path).await;
                let config = serde_json::json!({"token": {
                    "realm": server.realm(),
                    "service": SERVICE,
                    "issuer": ISSUER,
                    "rootcertbundle": server.certificate(),
                }});
                (config, Some(server))
            }
        };
        let host = format!("127.0.0.1:{}", free_port());
        // The registry reads YAML, of which JSON is a part.
        let config = serde_json::json!({
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": path.join("storage")}},
            "http": {"addr": host},
            "auth": auth,
        });
        let file = path.join("config.yml");
        std::fs::write(&file, config.to_string()).expect("the temporary folder can be written");
        let args = ["serve".as_ref(), file.as_os_str()];
        let mut daemon = Daemon::start("docker-registry", &program("DOCKER_REGISTRY"), args, path);
        let client = http_client();
        let url = format!("http://{host}/v2/");
        daemon
            .until(|| async {
                let answer = client.get(&url).send().await;
                matches!(answer, Ok(response) if response.status() == reqwest::StatusCode::UNAUTHORIZED)
            })
            .await;
        Self { host, token_server, _daemon: daemon, _folder: folder }
    }

    /// The registry's address as it stands in an image name: `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Its token service, if it has one.
    pub(crate) fn token_server(&self) -> Option<&TokenServer> {
        self.token_server.as_ref()
    }

    /// Pushes a small image as `REPOSITORY:TAG`.
    pub(crate) async fn push(&self, image: &Image, repository: &str, tag: &str, credentials: &str) -> Output {
        let source = format!("dir:{}", image.folder().display());
        let target = format!("docker://{}/{repository}:{tag}", self.host);
        skopeo(&["copy", "--dest-tls-verify=false", "--dest-creds", credentials, &source, &target]).await
    }

    /// Reads the manifest of `REPOSITORY:TAG` as a pull does; without credentials, anonymously.
    pub(crate) async fn inspect(&self, repository: &str, tag: &str, credentials: Option<&str>) -> Output {
        let target = format!("docker://{}/{repository}:{tag}", self.host);
        let login = credentials.map_or_else(|| vec!["--no-creds"], |credentials| vec!["--creds", credentials]);
        skopeo(&[&["inspect", "--raw", "--tls-verify=false"], login.as_slice(), &[target.as_str()]].concat()).await
    }
}

/// Runs skopeo without a signature policy.
async fn skopeo(args: &[&str]) -> Output {
    run(&program("SKOPEO"), ["--insecure-policy"].iter().chain(args)).await
}

async fn write_htpasswd(users: &BTreeMap<String, String>, folder: &Path) -> PathBuf {
    let file = folder.join("htpasswd");
    let mut text = String::new();
    for (name, password) in users {
        // The registry takes bcrypt alone; the lowest cost is enough for a test.
        let output = run(&program("HTPASSWD"), ["-nbB", "-C", "4", name, password]).await;
        text.push_str(output.expect_success("htpasswd").trim_end());
        text.push('\n');
    }
    std::fs::write(&file, text).expect("the temporary folder can be written");
    file
}

/// A small image in skopeo's `dir:` layout: one layer with an empty tar archive.
#[derive(Debug)]
pub(crate) struct Image(TempDir);

impl Image {
    /// Writes the image into a temporary folder.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let tar = [0_u8; 1024];
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&tar).expect("memory can be written");
        let layer = encoder.finish().expect("memory can be written");
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&tar))]},
        })
        .to_string();
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "size": config.len(), "digest": format!("sha256:{}", sha256(config.as_bytes())),
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "size": layer.len(), "digest": format!("sha256:{}", sha256(&layer)),
            }],
        })
        .to_string();
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).expect("the temporary folder can be written");
        };
        write("version", b"Directory Transport Version: 1.1\n");
        write(&sha256(&layer), &layer);
        write(&sha256(config.as_bytes()), config.as_bytes());
        write("manifest.json", manifest.as_bytes());
        Self(folder)
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
