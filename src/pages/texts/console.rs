//! The texts of the console: its frame, the users, and the page that asks for the password.

use super::texts;

texts! {
    /// The texts of the console.
    ConsoleTexts
    console: "Administration", "Verwaltung", "Administración", "Administration";
    my_account: "My account", "Mein Konto", "Mi cuenta", "Mon compte";
    overview: "Overview", "Übersicht", "Resumen", "Vue d’ensemble";
    users: "Users", "Konten", "Usuarios", "Utilisateurs";
    events: "Events", "Ereignisse", "Eventos", "Événements";
    apps: "Apps and keys", "Apps und Schlüssel", "Aplicaciones y claves", "Applications et clés";
    settings: "Settings", "Einstellungen", "Configuración", "Paramètres";
    health: "Health", "Zustand", "Estado", "État";
    // The list of the users.
    users_hint: "Everybody with an account.", "Alle, die ein Konto haben.",
        "Todas las personas que tienen una cuenta.", "Toutes les personnes qui ont un compte.";
    search: "Search", "Suchen", "Buscar", "Rechercher";
    search_label: "Name or e-mail address", "Name oder E-Mail-Adresse",
        "Nombre o correo electrónico", "Nom ou adresse e-mail";
    clear: "Clear", "Zurücksetzen", "Borrar", "Effacer";
    create: "Create user", "Konto anlegen", "Crear usuario", "Créer un compte";
    user: "User", "Konto", "Usuario", "Utilisateur";
    state: "State", "Status", "Estado", "État";
    permissions: "Permissions", "Berechtigungen", "Permisos", "Autorisations";
    created: "Created", "Angelegt", "Creado", "Créé";
    active: "Active", "Aktiv", "Activo", "Actif";
    disabled: "Disabled", "Gesperrt", "Desactivado", "Désactivé";
    administrator: "Administrator", "Verwaltung", "Administrador", "Administrateur";
    refused: "Refused", "Abgelehnt", "Rechazado", "Refusé";
    unnamed: "(no name)", "(ohne Namen)", "(sin nombre)", "(sans nom)";
    to_start: "First page", "Erste Seite", "Primera página", "Première page";
    next_page: "Next page", "Nächste Seite", "Página siguiente", "Page suivante";
    nobody: "Nobody found", "Niemand gefunden", "Nadie encontrado", "Personne trouvé";
    nobody_hint: "No name and no address contains “{text}”.",
        "Kein Name und keine Adresse enthält „{text}“.",
        "Ningún nombre ni dirección contiene «{text}».",
        "Aucun nom ni aucune adresse ne contient « {text} ».";
    nobody_here: "There are no more users.", "Es gibt keine weiteren Konten.",
        "No hay más usuarios.", "Il n’y a pas d’autres utilisateurs.";
    search_goes_on: "The search has not reached the end yet.", "Die Suche ist noch nicht am Ende.",
        "La búsqueda aún no ha llegado al final.", "La recherche n’est pas encore terminée.";
    // A new user.
    new_hint: "The person can sign in at once, and should change the password then.",
        "Die Person kann sich sofort anmelden und sollte dann das Passwort ändern.",
        "La persona puede iniciar sesión enseguida y debería cambiar entonces la contraseña.",
        "La personne peut se connecter aussitôt ; elle devrait alors changer de mot de passe.";
    new_must_verify: "The person gets a mail to confirm the address, can sign in then, and should change the password.",
        "Die Person bekommt eine E-Mail, um die Adresse zu bestätigen, kann sich dann anmelden und sollte das Passwort ändern.",
        "La persona recibe un correo para confirmar la dirección, después puede iniciar sesión y debería cambiar la contraseña.",
        "La personne reçoit un e-mail pour confirmer l’adresse, peut ensuite se connecter et devrait changer de mot de passe.";
    email: "E-mail address", "E-Mail-Adresse", "Correo electrónico", "Adresse e-mail";
    name: "Name", "Name", "Nombre", "Nom";
    surname: "Surname", "Nachname", "Apellidos", "Nom de famille";
    website: "Website", "Website", "Sitio web", "Site web";
    first_password: "First password", "Erstes Passwort", "Primera contraseña", "Premier mot de passe";
    scopes_hint: "Separated by spaces; none for most people.",
        "Durch Leerzeichen getrennt; für die meisten keine.",
        "Separados por espacios; la mayoría no necesita ninguno.",
        "Séparées par des espaces ; aucune pour la plupart des personnes.";
    // Why a change was refused.
    last_administrator: "This is the last administrator who can sign in. Give another user the permission users:write first. On the server, “tokenhouse user” can do it in any case.",
        "Das ist das letzte Konto mit Verwaltungsrechten. Geben Sie zuerst einem anderen die Berechtigung users:write. Auf dem Server geht es mit „tokenhouse user“ in jedem Fall.",
        "Es la última persona con permisos de administración. Da primero a otra el permiso users:write. En el servidor, «tokenhouse user» puede hacerlo en cualquier caso.",
        "C’est la dernière personne à pouvoir administrer le service. Donnez d’abord l’autorisation users:write à une autre. Sur le serveur, « tokenhouse user » peut le faire dans tous les cas.";
    not_allowed: "You may not do this without the permission {scope} yourself.",
        "Dazu brauchen Sie selbst die Berechtigung {scope}.",
        "Para esto necesitas tener tú el permiso {scope}.",
        "Pour cela, il vous faut vous-même l’autorisation {scope}.";
    changed_meanwhile: "The user was changed in the meantime. Please look at the page again.",
        "Das Konto wurde inzwischen geändert. Bitte sehen Sie sich die Seite noch einmal an.",
        "El usuario ha cambiado entretanto. Vuelve a mirar la página.",
        "Le compte a été modifié entre-temps. Veuillez relire la page.";
    bad_scopes: "A permission is a name such as orders:read.",
        "Eine Berechtigung ist ein Name wie orders:read.",
        "Un permiso es un nombre como orders:read.",
        "Une autorisation est un nom tel que orders:read.";
}
