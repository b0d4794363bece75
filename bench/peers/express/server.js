// Opaque tokens with Express, one process per core.
//   DATABASE=FILE node server.js create-tables
//   DATABASE=FILE PORT=N WORKERS=N node server.js

import cluster from 'node:cluster';
import { createHash, randomBytes } from 'node:crypto';
import process from 'node:process';

import bcrypt from 'bcrypt';
import Database from 'better-sqlite3';
import express from 'express';

const LIFETIME_MS = 24 * 60 * 60 * 1000;

const TABLES = `
  CREATE TABLE users (
      id INTEGER PRIMARY KEY,
      name TEXT NOT NULL,
      surname TEXT NOT NULL,
      email TEXT NOT NULL UNIQUE,
      website TEXT NOT NULL,
      password_hash TEXT NOT NULL
  );

  -- SHA-256 digests: the tokens cannot be recovered from the table.
  CREATE TABLE tokens (
      digest BLOB PRIMARY KEY,
      user_id INTEGER NOT NULL REFERENCES users (id),
      expires_at INTEGER NOT NULL
  ) WITHOUT ROWID;
`;

if (process.argv[2] === 'create-tables') {
  new Database(process.env.DATABASE).exec(TABLES);
} else if (cluster.isPrimary) {
  for (let number = 0; number < Number(process.env.WORKERS); number += 1) {
    cluster.fork();
  }
} else {
  serve();
}

function serve() {
  const database = new Database(process.env.DATABASE, { timeout: 30_000 });
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = NORMAL');
  const findByToken = database.prepare(
    `SELECT users.id, name, surname, email, website, expires_at
     FROM tokens JOIN users ON users.id = user_id WHERE digest = ?`,
  );
  const findByEmail = database.prepare('SELECT id, password_hash FROM users WHERE email = ?');
  const insertToken = database.prepare('INSERT INTO tokens VALUES (?, ?, ?)');

  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');

  app.get('/users/me', (request, response) => {
    const [scheme, token] = (request.get('authorization') ?? '').split(' ');
    const found = scheme === 'Bearer' && token && findByToken.get(digest(token));
    if (!found || found.expires_at <= Date.now()) {
      return response.status(401).json({ detail: 'Not authenticated' });
    }
    const { expires_at, ...user } = found;
    return response.json(user);
  });

  app.post('/token', express.urlencoded({ extended: false }), async (request, response) => {
    const { username = '', password = '' } = request.body ?? {};
    const user = findByEmail.get(username);
    // Runs on libuv's four threads.
    if (!user || !(await bcrypt.compare(password, user.password_hash))) {
      return response.status(401).json({ detail: 'Unauthorized' });
    }
    const token = randomBytes(32).toString('base64url');
    insertToken.run(digest(token), user.id, Date.now() + LIFETIME_MS);
    return response.json({ access_token: token, token_type: 'bearer' });
  });

  app.listen(Number(process.env.PORT), '127.0.0.1');
}

function digest(token) {
  return createHash('sha256').update(token).digest();
}
