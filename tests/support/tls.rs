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

/// TLS in front of an engine: what it says goes to the engine as it is.
pub struct Tls {
    /// Where it is reached, as `https://localhost`.
    pub endpoint: String,
    /// Who vouches for it, in PEM.
    pub authority: String,
}

impl Tls {
    /// Serves before the engine at this endpoint, under an authority of its own.
    pub async fn before(engine: &str) -> Tls {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name than the server's: OpenSSL takes who vouches for itself by its names.
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
        Tls { endpoint: format!("https://localhost:{port}"), authority: authority.pem() }
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// The server's, which speaks HTTP/1.1 as DynamoDB does.
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

/// A connection that breaks is the client's to tell.
async fn relay(acceptor: &TlsAcceptor, stream: TcpStream, engine: &str) {
    let Ok(mut outside) = acceptor.accept(stream).await else { return };
    let mut inside = TcpStream::connect(engine).await.expect("the engine serves");
    let quick = (outside.get_ref().0.set_nodelay(true), inside.set_nodelay(true));
    if let (Ok(()), Ok(())) = quick {
        let _ = copy_bidirectional(&mut outside, &mut inside).await;
    }
}
