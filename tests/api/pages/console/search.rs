//! The list of the users: what a search finds, and that every user is on one page.

use std::collections::BTreeMap;

use super::administrator;
use crate::harness::{Backend, TestApp, on_both_databases};
use crate::pages::browser::{Browser, title};

on_both_databases!(search_finds_what_is_typed, every_user_is_on_one_page,);

/// The ids of the users on a page, in its order.
fn ids(page: &str) -> Vec<i64> {
    let links = page
        .split(r#"class="stretched" href="/console/users/"#)
        .skip(1);
    links
        .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
        .collect()
}

/// The query of the link to the next page.
fn next(page: &str) -> Option<String> {
    let (before, _) = page.split_once(r#"" rel="next""#)?;
    let query = before.rsplit(r#"href="/console/users?"#).next()?;
    Some(query.replace("&#38;", "&"))
}

fn insert(app: &TestApp, id: i64, address: &str, name: &str) {
    app.database().execute(&format!(
        "INSERT INTO users (id, name, surname, email, email_key, website, hashed_password, created_at)
         SELECT {id}, '{name}', '', '{address}', '{}', '', hashed_password, created_at
         FROM users WHERE id = 1",
        address.to_lowercase()
    ));
}

fn search_finds_what_is_typed(backend: Backend) {
    let app = TestApp::start(backend);
    let (_, mut browser) = administrator(&app);
    let addresses = [
        "a_b@x.org",
        "aXb@x.org",
        "100%@x.org",
        "back\\slash@x.org",
        "it''s@x.org",
        "MÜLLER@x.org",
    ];
    for (id, address) in (100..).zip(addresses) {
        insert(&app, id, address, "Somebody");
    }
    insert(&app, 200, "plain@x.org", "Jörg MÜLLER");
    let mut find = |text: &str| {
        let query: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        ids(&browser.page(&format!("/console/users?q={query}")))
    };
    assert_eq!(find("a_b"), [100]);
    assert_eq!(find("%"), [102]);
    assert_eq!(find("\\"), [103]);
    assert_eq!(find("_"), [100]);
    assert_eq!(find("'"), [104]);
    assert_eq!(find("müller"), [105, 200]);
    assert_eq!(find("  AXB "), [101]);
    assert!(find("nobody at all").is_empty());
    assert_eq!(find("   ").len(), 8);
    let page = browser.page("/console/users?q=%3Cb%3E");
    assert!(
        page.contains("“&#60;b&#62;”") && !page.contains("<b>"),
        "{page}"
    );
    let response = browser.get(&format!("/console/users?q={}", "x".repeat(10_000)));
    assert_eq!(response.status, 422);
    let text = response.text();
    assert_eq!(title(text), "Error: Users · Tokenhouse");
    assert!(text.contains("This is too long."), "{text}");
}

fn every_user_is_on_one_page(backend: Backend) {
    let app = TestApp::start(backend);
    let (_, mut browser) = administrator(&app);
    for id in 100..280 {
        insert(&app, id, &format!("same{id}@x.org"), "Same Name");
    }
    for search in ["", "q=same"] {
        let seen = walk(&app, &mut browser, search);
        for id in 100..280 {
            let times = seen.get(&id).copied().unwrap_or(0);
            // One is deleted after each page.
            assert_eq!(times, 1, "{id} with {search:?}");
        }
    }
}

/// All pages, while a user is added after each.
fn walk(app: &TestApp, browser: &mut Browser, search: &str) -> BTreeMap<i64, usize> {
    let (mut seen, mut query, mut count) = (BTreeMap::new(), search.to_owned(), 0);
    loop {
        let page = browser.page(&format!("/console/users?{query}"));
        let found = ids(&page);
        assert!(found.len() <= 50);
        assert_eq!(
            found,
            ids(&browser.page(&format!("/console/users?{query}")))
        );
        for id in found {
            *seen.entry(id).or_default() += 1;
        }
        count += 1;
        let id = 1_000 + count + 100 * search.len() as i64;
        insert(app, id, &format!("added{id}@x.org"), "Added Later");
        match next(&page) {
            Some(next) => query = next,
            None => return seen,
        }
    }
}
