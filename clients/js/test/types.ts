// Not run: `tsc` checks that the types accept what they should, and reject the rest.

import { createClient, memory, webStorage, type TokenStorage } from "../tokenhouse.js";

const client = createClient({ url: "https://auth.example.com", storage: webStorage(localStorage) });

const user = await client.call("GET /users/me");
user.email satisfies string;
const key = await client.call("POST /users/me/keys", { body: { name: "backup" } });
key.id satisfies number;
(await client.call("DELETE /users/me/keys/{id}", { path: { id: key.id } })) satisfies undefined;
await client.call("GET /users/me/events", { query: { limit: 10 } });
await client.call("GET /users/me/events");
// @ts-expect-error: there is no such route.
await client.call("GET /users/you");
// @ts-expect-error: the body is required.
await client.call("POST /users/me/keys");
// @ts-expect-error: the id is required.
await client.call("DELETE /users/me/keys/{id}");
// @ts-expect-error: the id is a number.
await client.call("DELETE /users/me/keys/{id}", { path: { id: "1" } });
// @ts-expect-error: users have no such member.
user.nickname;

client.on("signed-out", ({ reason }) => reason === "elsewhere")();
// @ts-expect-error: this is not a reason.
client.on("signed-out", ({ reason }) => reason === "bored");
// @ts-expect-error: there is no such event.
client.on("signed-up", () => {});

memory() satisfies TokenStorage;
const slow: TokenStorage = { read: async () => null, write: async () => {} };
createClient({ url: "https://auth.example.com", storage: slow, offline: false });
