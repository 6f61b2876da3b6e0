//! A TLS proxy in front of an engine.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// A proxy that terminates TLS and forwards everything to an engine.
pub struct TlsProxy {
    /// URL with the host `localhost`.
    pub endpoint: String,
    /// Its certificate authority, in PEM.
    pub authority: String,
}

impl TlsProxy {
    /// Serves in front of the engine at this endpoint, with an authority of its own.
    pub async fn start(engine: &str) -> TlsProxy {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // The name differs from the server's: OpenSSL treats equal names as a self-signed certificate.
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let authority = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        let acceptor = TlsAcceptor::from(Arc::new(config(&authority)));

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let engine = engine.trim_start_matches("http://").to_owned();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, engine) = (acceptor.clone(), engine.clone());
                tokio::spawn(async move { relay(&acceptor, stream, &engine).await });
            }
        });
        TlsProxy { endpoint: format!("https://localhost:{port}"), authority: authority.pem() }
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// Offers HTTP/1.1 only, as DynamoDB does.
fn config(authority: &CertifiedIssuer<'_, KeyPair>) -> ServerConfig {
    let key = key();
    let certificate = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = certificate.signed_by(&key, authority).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the certificate's key");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// The client reports a broken connection.
async fn relay(acceptor: &TlsAcceptor, stream: TcpStream, engine: &str) {
    let Ok(mut downstream) = acceptor.accept(stream).await else { return };
    let mut upstream = TcpStream::connect(engine).await.expect("the engine serves");
    let no_delay = (downstream.get_ref().0.set_nodelay(true), upstream.set_nodelay(true));
    if let (Ok(()), Ok(())) = no_delay {
        let _ = copy_bidirectional(&mut downstream, &mut upstream).await;
    }
}
