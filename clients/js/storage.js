// Where the tokens are kept. An app may bring its own, such as the key store of a phone.

/** @type {typeof import("./tokenhouse.d.ts").memory} */
export function memory(tokens = null) {
  return {
    read: () => tokens,
    write: (changed) => {
      tokens = changed;
    },
  };
}

/** @type {typeof import("./tokenhouse.d.ts").webStorage} */
export function webStorage(storage, key = "tokenhouse") {
  return {
    read: () => parsed(storage.getItem(key)),
    write: (tokens) =>
      tokens ? storage.setItem(key, JSON.stringify(tokens)) : storage.removeItem(key),
    subscribe: (listener) => {
      /** @param {StorageEvent} event */
      const changed = (event) => {
        if (event.storageArea !== storage) return;
        // Without a key, everything has been cleared.
        if (event.key === key) listener(parsed(event.oldValue), parsed(event.newValue));
        else if (event.key === null) listener(null, null);
      };
      addEventListener("storage", changed);
      return () => removeEventListener("storage", changed);
    },
  };
}

/** What cannot be read counts as nothing: the user signs in again. @param {string | null} text */
function parsed(text) {
  try {
    const tokens = JSON.parse(text ?? "null");
    return typeof tokens?.access_token === "string" ? tokens : null;
  } catch {
    return null;
  }
}
