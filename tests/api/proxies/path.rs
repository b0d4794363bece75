//! Tokenhouse below the path `/auth` of a site, with the recipes of `deploy/`.

use crate::harness::proxy::on_both_proxies;
use crate::harness::{Backend, Client, Proxy, TestApp};

on_both_proxies!(service_works_below_a_path);

/// The absolute path that a reference in a response at `base` leads to (RFC 3986 section 5.2).
fn resolve(base: &str, reference: &str) -> String {
    let host = url::Url::parse("http://site.example").unwrap();
    let url = host.join(base).unwrap().join(reference).unwrap();
    assert_eq!(url.host_str(), Some("site.example"), "{reference}");
    url[url::Position::BeforePath..].to_owned()
}

fn service_works_below_a_path(proxy: Proxy) {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
        .setting("TOKENHOUSE_PUBLIC_URL", "https://site.example/auth")
        .start();
    let site = proxy.start_with_path(app.address());
    let alice = app.register("alice");
    let form = [
        ("username", alice.email.as_str()),
        ("password", &alice.password),
    ];
    assert_eq!(site.post("/auth/token").form(&form).send().status, 200);
    // The rest belongs to the site.
    let elsewhere = site.post("/token").form(&form).send();
    assert_eq!(elsewhere.header("x-request-id"), None);

    // A slash too many, with every method; what the client sends again stays below the path.
    for target in ["/auth/token/", "/auth/users/me/", "/auth/docs/"] {
        for method in ["GET", "POST"] {
            let response = site.request(method, target).send();
            assert_eq!(response.status, 307, "{target}");
            let location = response.header("location").unwrap();
            assert_eq!(resolve(target, &location), target.trim_end_matches('/'));
        }
    }
    for base in ["/auth/", "/auth/docs", "/auth/redoc", "/auth/signin"] {
        let page = site.get(base).header("Accept", "text/html").send();
        assert_eq!(page.status, 200, "{base}");
        assert_links_work(&site, base, page.text());
    }
}

/// Every link and file of a page leads to a response below the path.
fn assert_links_work(site: &Client, base: &str, page: &str) {
    let mut links = 0;
    for attribute in ["href=\"", "src=\"", "spec-url=\""] {
        for rest in page.split(attribute).skip(1) {
            let reference = rest.split('"').next().unwrap();
            if reference.starts_with("data:") || reference.starts_with('#') {
                continue;
            }
            let target = resolve(base, reference);
            assert!(target.starts_with("/auth/"), "{base}: {reference}");
            let response = site.get(&target).header("Accept", "text/html").send();
            assert_eq!(response.status, 200, "{base}: {reference}");
            links += 1;
        }
    }
    assert!(links >= 3, "{base} has {links} links");
}

/// The path of the URL is part of all URLs in the metadata and the OpenAPI document.
#[test]
fn public_url_with_a_path_is_in_the_metadata() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PUBLIC_URL", "https://site.example/auth")
        .start();
    let well_known = "/.well-known/oauth-authorization-server";
    for site in [Proxy::Nginx, Proxy::Caddy].map(|proxy| proxy.start_with_path(app.address())) {
        for target in [format!("{well_known}/auth"), format!("/auth{well_known}")] {
            let metadata = site.get(&target).send().json();
            assert_eq!(metadata["issuer"], "https://site.example/auth");
            assert_eq!(
                metadata["token_endpoint"],
                "https://site.example/auth/token"
            );
        }
        let document = site.get("/auth/openapi.json").send().json();
        assert_eq!(document["servers"][0]["url"], "https://site.example/auth");
    }
    assert_eq!(app.get(&format!("{well_known}/auth")).send().status, 200);
    assert_eq!(app.get(&format!("{well_known}/other")).send().status, 404);
}
