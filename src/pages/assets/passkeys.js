// Passkeys on our pages. Without this file, or in a browser without passkeys, everything else works.
"use strict";
(() => {
  const text = (bytes) =>
    btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const bytes = (base64) =>
    Uint8Array.from(atob(base64.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const named = (list) => (list || []).map((key) => ({ ...key, id: bytes(key.id) }));

  // What the service asks, as the browser takes it. Not every browser has parseRequestOptionsFromJSON.
  const forNew = (asked) => ({
    ...asked,
    challenge: bytes(asked.challenge),
    user: { ...asked.user, id: bytes(asked.user.id) },
    excludeCredentials: named(asked.excludeCredentials),
  });
  const forKnown = (asked) => ({
    ...asked,
    challenge: bytes(asked.challenge),
    allowCredentials: named(asked.allowCredentials),
  });

  // What the browser has made or signed, as JSON. Some password managers have no toJSON.
  const answer = (made) => {
    const from = made.response;
    const response = { clientDataJSON: text(from.clientDataJSON) };
    if (from.attestationObject) {
      response.attestationObject = text(from.attestationObject);
      response.transports = from.getTransports ? from.getTransports() : [];
    } else {
      response.authenticatorData = text(from.authenticatorData);
      response.signature = text(from.signature);
      response.userHandle = from.userHandle && from.userHandle.byteLength ? text(from.userHandle) : null;
    }
    return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response, clientExtensionResults: {} });
  };

  const ask = async (path, body) => {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${response.status}`);
    return response.json();
  };

  // A domain of the page, or one above it; elsewhere the browser only reports a SecurityError.
  const isAt = (domain) => location.hostname === domain || location.hostname.endsWith(`.${domain}`);

  const works = window.PublicKeyCredential && navigator.credentials && window.isSecureContext;

  // Says why nothing happened. The page stays as it is, with what was typed.
  const say = (form, what) => {
    const place = form.querySelector("[data-passkey-problem]");
    place.textContent = what;
    place.hidden = false;
  };

  const send = (form, fields) => {
    for (const [name, value] of Object.entries(fields)) form.elements[name].value = value;
    form.submit();
  };

  const create = (form) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const publicKey = forNew(JSON.parse(form.dataset.options));
        send(form, { credential: answer(await navigator.credentials.create({ publicKey })) });
      } catch (error) {
        say(form, error.name === "InvalidStateError" ? form.dataset.known : form.dataset.failed);
      }
    });
  };

  // Signs on request, and on the sign-in page also when the user chooses a passkey in the field of the address.
  const sign = (form) => {
    const token = form.elements.mfa_token;
    const body = token ? { mfa_token: token.value } : {};
    // Typed in the other form of the page.
    const password = () => document.getElementById("confirm");
    let offered;
    let renewal;

    const get = async (more) => {
      const { asked, options } = form.dataset;
      const { challenge_id, publicKey } = asked ? JSON.parse(asked) : await ask(options, body);
      const signed = await navigator.credentials.get({ publicKey: forKnown(publicKey), ...more });
      const keep = document.getElementById("keep");
      if (keep && form.elements.keep) form.elements.keep.value = keep.checked ? "yes" : "";
      if (form.elements.confirm) form.elements.confirm.value = password().value;
      send(form, { challenge_id, credential: answer(signed) });
    };

    const offer = async () => {
      const conditional = PublicKeyCredential.isConditionalMediationAvailable;
      // Not after a refusal: a browser that chooses by itself would send the same passkey for ever.
      if (!("offer" in form.dataset) || !conditional || !(await conditional.call(PublicKeyCredential))) return;
      offered = new AbortController();
      // What was asked is answered within five minutes.
      clearTimeout(renewal);
      renewal = setTimeout(() => {
        offered.abort();
        offer();
      }, 240000);
      get({ mediation: "conditional", signal: offered.signal }).catch(() => {});
    };

    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (form.elements.confirm && !password().reportValidity()) return;
      clearTimeout(renewal);
      if (offered) offered.abort();
      try {
        await get({});
      } catch (error) {
        say(form, form.dataset.failed);
        offer();
      }
    });
    offer();
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const problem = !works ? form.dataset.unable : !isAt(form.dataset.domain) ? form.dataset.elsewhere : null;
    if (problem) {
      form.querySelector("button").remove();
      say(form, problem);
    } else {
      (form.dataset.passkey === "new" ? create : sign)(form);
    }
    form.hidden = false;
  }

  // Tells the browser which passkeys count, so that it stops to offer others.
  for (const known of document.querySelectorAll("[data-passkey-signal]")) {
    const signal = works && PublicKeyCredential[known.dataset.passkeySignal];
    if (signal) signal.call(PublicKeyCredential, JSON.parse(known.dataset.value)).catch(() => {});
  }
})();
