//! The list of the users: what a search finds, and that every user is on one page.

use std::collections::BTreeMap;

use super::administrator;
use crate::harness::{Backend, TestApp, on_both_databases};
use crate::pages::browser::{Browser, title};

on_both_databases!(
    search_finds_what_is_typed,
    every_user_is_on_one_page,
    three_thousand_equals_are_on_one_page_each,
);

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

/// N27: everything that could order them is the same, and each page is followed by changes.
fn three_thousand_equals_are_on_one_page_each(backend: Backend) {
    let app = TestApp::start(backend);
    let (_, mut browser) = administrator(&app);
    app.database().execute(
        "INSERT INTO users (id, name, surname, email, email_key, website, hashed_password, created_at)
         WITH RECURSIVE n(i) AS (SELECT 1001 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
         SELECT i, 'Same Name', '', 'same' || (i * 7919 % 3001) || '@x.org',
             'same' || (i * 7919 % 3001) || '@x.org', '', '!', '2026-01-01 00:00:00'
         FROM n",
    );
    let mut added = 10_000;
    for search in ["", "q=same"] {
        let (mut seen, mut deleted) = (BTreeMap::new(), Vec::new());
        let mut query = search.to_owned();
        loop {
            let path = format!("/console/users?{query}");
            let page = browser.page(&path);
            let found = ids(&page);
            assert!(found.len() <= 50 && !found.is_empty());
            for id in found {
                *seen.entry(id).or_insert(0) += 1;
            }
            let Some(next) = next(&page) else { break };
            query = next;
            added += 1;
            insert(&app, added, &format!("added{added}@x.org"), "Added Later");
            // Near the beginning and near the end in turn.
            let number = 100 * search.len() as i64 + deleted.len() as i64;
            let id = if number % 2 == 0 {
                1_001 + number
            } else {
                4_000 - number
            };
            app.database()
                .execute(&format!("DELETE FROM users WHERE id = {id}"));
            deleted.push(id);
        }
        let left = app.database().count("users WHERE id BETWEEN 1001 AND 4000");
        assert!(left > 2_800, "{left}");
        let texts = app
            .database()
            .texts("SELECT CAST(id AS TEXT) AS text FROM users WHERE id BETWEEN 1001 AND 4000");
        for id in texts {
            assert_eq!(
                seen.get(&id.parse().unwrap()),
                Some(&1),
                "{id} with {search:?}"
            );
        }
    }
}
