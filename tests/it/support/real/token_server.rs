//! The token service of a registry: signs what the registry of the distribution project verifies, by
//! <https://distribution.github.io/distribution/spec/auth/jwt/>.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::Utc;
use ring::{rand::SystemRandom, signature};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{process::run, program};

/// The name by which the registry and its token service know the registry.
pub(super) const SERVICE: &str = "registry.test";
/// The name of the token service.
pub(super) const ISSUER: &str = "token-service.test";

/// Somebody who may log in.
#[derive(Clone, Debug)]
pub(crate) struct User {
    password: String,
    /// Actions by repository.
    grants: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user without any right but to log in.
    pub(crate) fn new(password: &str) -> Self {
        Self { password: password.to_owned(), grants: BTreeMap::new() }
    }

    /// Adds actions (`pull`, `push`) on a repository.
    #[must_use]
    pub(crate) fn with(mut self, repository: &str, actions: &[&str]) -> Self {
        self.grants.insert(repository.to_owned(), actions.iter().map(|&action| action.to_owned()).collect());
        self
    }
}

/// A token service on a port of its own. Nobody may pull without a login.
#[derive(Debug)]
pub(crate) struct TokenServer {
    realm: String,
    certificate: PathBuf,
    task: JoinHandle<()>,
}

struct Shared {
    users: BTreeMap<String, User>,
    key: signature::RsaKeyPair,
    /// The certificate of the key in DER, base64: the header `x5c` of every token.
    certificate: String,
}

impl TokenServer {
    /// Makes a key and starts to serve; the files go to `folder`.
    pub(crate) async fn start(users: BTreeMap<String, User>, folder: &Path) -> Self {
        let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let openssl = program("OPENSSL");
        let (key, key_der) = (file("token.key"), file("token.key.der"));
        let (certificate, certificate_der) = (file("token.crt"), file("token.crt.der"));
        run(
            &openssl,
            ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=token-service.test", "-days", "2"]
                .into_iter()
                .chain(["-keyout", &key, "-out", &certificate]),
        )
        .await
        .expect_success("openssl req");
        run(&openssl, ["x509", "-in", &certificate, "-outform", "DER", "-out", &certificate_der])
            .await
            .expect_success("openssl x509");
        run(&openssl, ["pkcs8", "-topk8", "-nocrypt", "-in", &key, "-outform", "DER", "-out", &key_der])
            .await
            .expect_success("openssl pkcs8");

        let read = |path: &str| std::fs::read(path).expect("openssl has written the file");
        let shared = Arc::new(Shared {
            users,
            key: signature::RsaKeyPair::from_pkcs8(&read(&key_der)).expect("a PKCS #8 key of openssl"),
            certificate: STANDARD.encode(read(&certificate_der)),
        });

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let router = Router::new().route("/token", get(token)).with_state(shared);
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the server runs until it is aborted");
        });
        Self { realm: format!("http://{address}/token"), certificate: certificate.into(), task }
    }

    /// The URL that the registry sends its clients to.
    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    /// The certificate that the registry verifies tokens with, in PEM.
    pub(super) fn certificate(&self) -> &Path {
        &self.certificate
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `GET /token?service=...&scope=repository:NAME:ACTION,ACTION`, with Basic authentication. What is asked beyond the
/// user's rights is left out of the token, as the specification says.
async fn token(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let Some((name, user)) = login(&shared, &headers) else {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"token service\"")];
        return (StatusCode::UNAUTHORIZED, challenge, "{\"details\":\"incorrect username or password\"}")
            .into_response();
    };
    let access: Vec<_> = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(key, _)| key == "scope")
        .flat_map(|(_, scopes)| scopes.split(' ').filter_map(|scope| granted(user, scope)).collect::<Vec<_>>())
        .collect();
    let now = Utc::now();
    let token = sign(
        &shared,
        &serde_json::json!({
            "iss": ISSUER, "sub": name, "aud": SERVICE, "jti": format!("{}", now.timestamp_micros()),
            "iat": now.timestamp(), "nbf": now.timestamp() - 5, "exp": now.timestamp() + 300, "access": access,
        }),
    );
    let body = serde_json::json!({"token": token, "access_token": token, "expires_in": 300, "issued_at": now});
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn login<'a>(shared: &'a Shared, headers: &HeaderMap) -> Option<(String, &'a User)> {
    let encoded = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    let user = shared.users.get(name)?;
    (user.password == password).then(|| (name.to_owned(), user))
}

fn granted(user: &User, scope: &str) -> Option<serde_json::Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, asked) = rest.rsplit_once(':')?;
    let actions: Vec<_> =
        user.grants.get(name)?.iter().filter(|action| asked.split(',').any(|a| a == *action)).collect();
    (kind == "repository" && !actions.is_empty())
        .then(|| serde_json::json!({"type": kind, "name": name, "actions": actions}))
}

fn sign(shared: &Shared, claims: &serde_json::Value) -> String {
    let header = serde_json::json!({"typ": "JWT", "alg": "RS256", "x5c": [shared.certificate]});
    let signed =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; shared.key.public().modulus_len()];
    shared
        .key
        .sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .expect("a key of 2048 bits signs");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
