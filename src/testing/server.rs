//! A server for tests in the same process.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use chrono::{DateTime, Utc};
#[cfg(feature = "mail")]
use tokio::time::timeout;

use super::{TestUser, test_config};
use crate::auth::Auth;
use crate::clock::Clock;
use crate::config::Config;
use crate::dev::{ClockStart, Databases, Folder, Service};
use crate::error::Error;
#[cfg(feature = "mail")]
use crate::mail::{Kind, MailFilter, Mailbox, ReceivedMail};

/// How long a test waits for a mail.
#[cfg(feature = "mail")]
const MAIL_TIMEOUT: Duration = Duration::from_secs(5);

/// The whole service on a free port of 127.0.0.1, in this process and on a temporary database. Dropping
/// it ends both. Requires the feature `server`, which is on by default.
///
/// ```
/// use actix_web::{App, test, web};
/// use chrono::TimeDelta;
/// use tokenhouse::testing::TestServer;
/// use tokenhouse::{ClientCredential, RemoteAuth, RemoteAuthenticated};
///
/// async fn hello(caller: RemoteAuthenticated) -> String {
///     format!("Hello, {}!", caller.user.email)
/// }
///
/// // With #[actix_web::test] in a test.
/// #[actix_web::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let server = TestServer::start()?;
///     let key = server.user("app@example.com").scopes("introspect").api_key().await?;
///     let token = server.user("ada@example.com").scopes("orders:read").token().await?;
///
///     // An app that queries the server over HTTP.
///     let auth = RemoteAuth::builder(server.url(), ClientCredential::api_key(&key)).build()?;
///     let app = App::new().app_data(auth).route("/", web::get().to(hello));
///     let app = test::init_service(app).await;
///     let request = || {
///         let bearer = ("Authorization", format!("Bearer {token}"));
///         test::TestRequest::get().insert_header(bearer).to_request()
///     };
///     let response = test::call_and_read_body(&app, request()).await;
///     assert_eq!(response, "Hello, ada@example.com!");
///
///     server.clock().advance(TimeDelta::days(1));
///     assert_eq!(test::call_service(&app, request()).await.status(), 401);
///     Ok(())
/// }
/// ```
pub struct TestServer {
    service: Service,
    url: String,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Starts a server, with hashes of cost 4, without limits of attempts, and with a clock that stands at
    /// the current time. Blocks for some milliseconds, until it accepts requests.
    ///
    /// # Errors
    /// When the temporary folder cannot be written, or no port is free.
    pub fn start() -> io::Result<Self> {
        Self::with_settings([])
    }

    /// Like [`Self::start`], with settings by name and value, as in the environment:
    /// `[("API_KEY_TOKEN", "a-static-key-for-tests")]`. The address and the database cannot be set.
    ///
    /// # Errors
    /// When a setting is invalid, and as for [`Self::start`].
    pub fn with_settings<'a>(
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> io::Result<Self> {
        let config = test_config([("TOKENHOUSE_WORKERS", "1")].into_iter().chain(settings))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}", listener.local_addr()?);
        #[cfg(feature = "mail")]
        let config = {
            let mut config = config;
            config.link_to(&url).map_err(io::Error::other)?;
            config
        };
        let (send, receive) = mpsc::channel();
        let run = move || {
            actix_web::rt::System::new().block_on(async {
                match start(config, listener).await {
                    Ok((service, server)) => {
                        // Fails when the test has ended meanwhile.
                        let _ = send.send(Ok((service, server.handle())));
                        let _ = server.await;
                    }
                    Err(error) => {
                        let _ = send.send(Err(error));
                    }
                }
            });
        };
        let thread = thread::Builder::new()
            .name("test-server".to_owned())
            .spawn(run)?;
        let (service, handle) = receive.recv().map_err(io::Error::other)??;
        Ok(Self {
            service,
            url,
            handle,
            thread: Some(thread),
        })
    }

    /// The URL, such as `http://127.0.0.1:40713`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The handle of the service until the next [`Self::reset`], for calls without HTTP.
    pub fn auth(&self) -> Auth {
        self.service.auth()
    }

    /// The clock until the next [`Self::reset`]. It starts at the current time and stands until the test
    /// advances it.
    pub fn clock(&self) -> Clock {
        self.service.clock()
    }

    /// A user with this address, whom [`TestUser::create`], [`TestUser::token`] or
    /// [`TestUser::api_key`] creates.
    pub fn user(&self, email: &str) -> TestUser {
        TestUser::new(&self.service.auth(), email)
    }

    /// Sets the clock to a time, where it stands, or from where it ticks. Unlike [`Clock::advance`] it
    /// also goes back, and what has expired before stays expired.
    ///
    /// # Errors
    /// [`Error::Unavailable`] during an outage.
    pub async fn set_clock(&self, at: DateTime<Utc>, ticks: bool) -> Result<(), Error> {
        self.service.auth().set_clock(at, ticks).await
    }

    /// Makes the database fail for this long from now, so that everything is refused with 503.
    pub fn stop_database(&self, time: Duration) {
        self.service.auth().store().stop_for(time);
    }

    /// The mails of the service until the next [`Self::reset`], which reach nobody; `None` if the settings
    /// say where mails go.
    #[cfg(feature = "mail")]
    pub fn mailbox(&self) -> Option<Mailbox> {
        let auth = self.service.auth();
        let mailer = auth.mailer()?;
        mailer.mailbox().cloned()
    }

    /// The latest mail of this kind to an address; waits up to 5 s for one. Each has the link and the code as
    /// they were made.
    #[cfg(feature = "mail")]
    pub async fn wait_for_mail(&self, to: &str, kind: Kind) -> Option<ReceivedMail> {
        let wanted = MailFilter {
            to: Some(to.to_owned()),
            purpose: Some(kind.name().to_owned()),
            after: 0,
        };
        let mailbox = self.mailbox()?;
        let found = timeout(MAIL_TIMEOUT, mailbox.wait_for(&wanted)).await;
        found.ok()?.pop()
    }

    /// Removes all users and credentials, and starts with a new clock and new limits. Requests in
    /// progress may fail.
    ///
    /// # Errors
    /// When the new database cannot be opened; then the current one stays.
    pub async fn reset(&self) -> io::Result<()> {
        self.service.reset().await
    }
}

async fn start(
    config: Config,
    listener: TcpListener,
) -> io::Result<(Service, actix_web::dev::Server)> {
    let start = ClockStart::At(Utc::now());
    let databases = Databases::Files(Folder::create()?);
    let service = Service::start(databases, config, start, Vec::new()).await?;
    let server = service.serve(listener, |_app| {})?;
    Ok((service, server))
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // The command is sent now; the future only waits for its end, as the thread does.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            // It panics only if a handler did, which the test has seen.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for TestServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("TestServer");
        shown.field("url", &self.url).finish_non_exhaustive()
    }
}
