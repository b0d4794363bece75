//! Code that panics costs its own request, and nobody else anything: in the handlers of an app that
//! uses our guards, and in a query.

use std::net::TcpListener;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use tokenhouse::store::{Store, StoreError};
use tokenhouse::{Auth, Authenticated, Config};

use crate::harness::{Backend, Client, TestApp, on_both_databases, settings};

on_both_databases!(
    handlers_that_panic_cost_their_connections,
    queries_that_panic_cost_their_answers,
);

const PANICS: usize = 1_000;

/// Panics without a word on the terminal.
fn panic_quietly() -> ! {
    resume_unwind(Box::new("on purpose"))
}

pub fn config(app: &TestApp) -> Config {
    let settings = settings();
    let url = ("DATABASE_URL".to_owned(), app.database().url());
    Config::from_vars(settings.into_iter().chain([url])).unwrap()
}

/// Somebody's app, with a handler that panics and one that does not.
fn start_app(auth: Auth) -> (Client, ServerHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new(listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let app = move || {
                App::new()
                    .app_data(auth.clone())
                    .route(
                        "/panic",
                        web::get().to(async |_: Authenticated| -> &str { panic_quietly() }),
                    )
                    .route(
                        "/me",
                        web::get().to(async |me: Authenticated| me.user.email.clone()),
                    )
            };
            let server = HttpServer::new(app).workers(2).disable_signals();
            let server = server.listen(listener).unwrap().run();
            tell.send(server.handle()).unwrap();
            server.await.unwrap();
        });
    });
    (client, told.recv().unwrap())
}

fn handlers_that_panic_cost_their_connections(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let token = alice.sign_in();
    let (client, server) = start_app(Auth::open(&config(&app)).unwrap());
    for _ in 0..PANICS {
        let answer = client.get("/panic").bearer(&token).try_send();
        assert!(answer.is_err(), "{answer:?}");
    }
    // Without a credential nothing is run, so nothing panics.
    assert_eq!(client.get("/panic").send().status, 401);
    let answer = client.get("/me").bearer(&token).send();
    assert_eq!((answer.status, answer.text()), (200, &*alice.email));
    drop(server.stop(false));
}

fn queries_that_panic_cost_their_answers(backend: Backend) {
    let app = TestApp::start(backend);
    let store = Store::open(&config(&app).database).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    for number in 0..PANICS / 10 {
        let outcome = match number % 2 {
            0 => runtime.block_on(store.revoking(|_| panic_quietly())),
            _ => runtime.block_on(store.read(|_| panic_quietly())),
        };
        let outcome: Result<(), _> = outcome;
        assert!(
            matches!(outcome, Err(StoreError::Unavailable(_))),
            "{outcome:?}"
        );
    }
    assert_eq!(store.connections().0, 0, "connections are still in use");
    runtime.block_on(store.check_ready()).unwrap();
    runtime
        .block_on(store.writing(|_| Ok::<_, StoreError>(())))
        .unwrap();
    app.register("alice");
}
