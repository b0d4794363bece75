//! The texts of the pages between a guarded host and the sign-in.

use super::texts;

texts! {
    /// The texts of the pages between a guarded host and the sign-in.
    GuardedTexts
    other_site: "the site", "der Website", "el sitio", "le site";
    onward: "You are signed in", "Sie sind angemeldet", "Has iniciado sesión", "Vous êtes connecté";
    onward_link: "Go on to {host}", "Weiter zu {host}", "Continuar a {host}", "Continuer vers {host}";
    stopped: "The sign-in does not reach the site", "Die Anmeldung kommt nicht an",
        "El inicio de sesión no llega al sitio", "La connexion n’atteint pas le site";
    stopped_text: "You were sent back and forth between {host} and this page several times, so we have stopped.",
        "Sie wurden mehrmals zwischen {host} und dieser Seite hin und her geschickt. Deshalb haben wir angehalten.",
        "Se te ha enviado varias veces de {host} a esta página y de vuelta, así que nos hemos detenido.",
        "Vous avez fait plusieurs allers-retours entre {host} et cette page ; nous nous sommes donc arrêtés.";
    reason_cookie: "Your browser may refuse cookies of the site: allow them, also in a private window.",
        "Vielleicht lehnt Ihr Browser die Cookies der Website ab: Lassen Sie sie zu, auch in einem privaten Fenster.",
        "Quizá tu navegador rechaza las cookies del sitio: permítelas, también en una ventana privada.",
        "Votre navigateur refuse peut-être les cookies du site : autorisez-les, même en navigation privée.";
    reason_https: "The address of the site has to begin with https.",
        "Die Adresse der Website muss mit https beginnen.",
        "La dirección del sitio debe empezar por https.",
        "L’adresse du site doit commencer par https.";
    reason_proxy: "If other browsers have the same problem, the operator has to check that the proxy passes on the cookies, the host and the path /.tokenhouse/, and that the domain of the cookie is right.",
        "Haben andere Browser dasselbe Problem, muss der Betreiber prüfen, ob der Proxy die Cookies, den Hostnamen und den Pfad /.tokenhouse/ weitergibt und ob die Domain des Cookies stimmt.",
        "Si otros navegadores tienen el mismo problema, el operador debe comprobar que el proxy transmite las cookies, el nombre del host y la ruta /.tokenhouse/, y que el dominio de la cookie es correcto.",
        "Si d’autres navigateurs ont le même problème, l’opérateur doit vérifier que le proxy transmet les cookies, le nom d’hôte et le chemin /.tokenhouse/, et que le domaine du cookie est le bon.";
    again: "Try again", "Noch einmal versuchen", "Volver a intentarlo", "Réessayer";
    denied: "You may not see this page", "Diese Seite ist für Sie nicht freigegeben",
        "No tienes acceso a esta página", "Vous n’avez pas accès à cette page";
    denied_who: "You are signed in as {email}.", "Sie sind als {email} angemeldet.",
        "Has iniciado sesión como {email}.", "Vous êtes connecté en tant que {email}.";
    denied_scope: "This page of {host} needs the permission {scope}, which your account does not have.",
        "Diese Seite von {host} verlangt die Berechtigung {scope}, die Ihr Konto nicht hat.",
        "Esta página de {host} requiere el permiso {scope}, que tu cuenta no tiene.",
        "Cette page de {host} exige l’autorisation {scope}, que votre compte n’a pas.";
    denied_text: "This page of {host} needs a permission that your account does not have.",
        "Diese Seite von {host} verlangt eine Berechtigung, die Ihr Konto nicht hat.",
        "Esta página de {host} requiere un permiso que tu cuenta no tiene.",
        "Cette page de {host} exige une autorisation que votre compte n’a pas.";
    other_user: "Sign in as somebody else", "Als jemand anderes anmelden",
        "Iniciar sesión como otra persona", "Se connecter avec un autre compte";
    before_host: "Sign in to go on to {host}.", "Melden Sie sich an, um zu {host} zu gelangen.",
        "Inicia sesión para continuar a {host}.", "Connectez-vous pour continuer vers {host}.";
}
