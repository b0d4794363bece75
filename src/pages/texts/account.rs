//! The texts of the account pages.

use super::texts;

texts! {
    /// The texts of the account pages.
    AccountTexts
    profile: "Profile", "Profil", "Perfil", "Profil";
    profile_hint: "What apps and administrators see of you.",
        "Was Apps und die Verwaltung von Ihnen sehen.",
        "Lo que ven de ti las aplicaciones y la administración.",
        "Ce que les applications et les administrateurs voient de vous.";
    email: "E-mail address", "E-Mail-Adresse", "Correo electrónico", "Adresse e-mail";
    name: "Name", "Name", "Nombre", "Nom";
    surname: "Surname", "Nachname", "Apellidos", "Nom de famille";
    website: "Website", "Website", "Sitio web", "Site web";
    saved: "Your changes are saved.", "Ihre Änderungen sind gespeichert.",
        "Los cambios se han guardado.", "Vos modifications sont enregistrées.";
    sessions: "Sessions", "Sitzungen", "Sesiones", "Sessions";
    sessions_hint: "Where you are signed in. End what you do not recognise.",
        "Wo Sie angemeldet sind. Beenden Sie, was Sie nicht kennen.",
        "Dónde tienes la sesión iniciada. Cierra lo que no reconozcas.",
        "Là où vous êtes connecté. Fermez les sessions que vous ne reconnaissez pas.";
    this_session: "This browser", "Dieser Browser", "Este navegador", "Ce navigateur";
    of_browser: "Browser", "Browser", "Navegador", "Navigateur";
    of_app: "App", "App", "Aplicación", "Application";
    last_used: "Last used {when}", "Zuletzt benutzt {when}", "Último uso: {when}", "Dernière utilisation : {when}";
    ends_at: "Ends on {when}", "Endet am {when}", "Termina el {when}", "Prend fin le {when}";
    end: "End", "Beenden", "Cerrar", "Fermer";
    end_named: "End the session “{name}”", "Sitzung „{name}“ beenden",
        "Cerrar la sesión «{name}»", "Fermer la session « {name} »";
    rename: "Rename", "Umbenennen", "Renombrar", "Renommer";
    rename_named: "Rename the session “{name}”", "Sitzung „{name}“ umbenennen",
        "Renombrar la sesión «{name}»", "Renommer la session « {name} »";
    renamed: "The session has its new name.", "Die Sitzung hat ihren neuen Namen.",
        "La sesión tiene su nuevo nombre.", "La session porte son nouveau nom.";
    end_others: "End all other sessions", "Alle anderen Sitzungen beenden",
        "Cerrar todas las demás sesiones", "Fermer toutes les autres sessions";
    ended: "The session has ended.", "Die Sitzung ist beendet.",
        "La sesión se ha cerrado.", "La session est fermée.";
    others_ended: "All other sessions have ended.", "Alle anderen Sitzungen sind beendet.",
        "Las demás sesiones se han cerrado.", "Toutes les autres sessions sont fermées.";
    now: "just now", "gerade eben", "ahora mismo", "à l’instant";
    minutes_ago: "{n} minute ago|{n} minutes ago", "vor {n} Minute|vor {n} Minuten",
        "hace {n} minuto|hace {n} minutos", "il y a {n} minute|il y a {n} minutes";
    hours_ago: "{n} hour ago|{n} hours ago", "vor {n} Stunde|vor {n} Stunden",
        "hace {n} hora|hace {n} horas", "il y a {n} heure|il y a {n} heures";
    days_ago: "{n} day ago|{n} days ago", "vor {n} Tag|vor {n} Tagen",
        "hace {n} día|hace {n} días", "il y a {n} jour|il y a {n} jours";
    delete_account: "Delete my account", "Mein Konto löschen", "Eliminar mi cuenta", "Supprimer mon compte";
    delete_hint: "Your sessions and API keys end at once, everywhere. This cannot be undone.",
        "Ihre Sitzungen und API-Schlüssel enden sofort und überall. Das lässt sich nicht rückgängig machen.",
        "Tus sesiones y claves de API terminan al instante en todas partes. No se puede deshacer.",
        "Vos sessions et vos clés d’API prennent fin immédiatement, partout. Cette action est irréversible.";
    delete_confirm: "Delete for good", "Endgültig löschen", "Eliminar definitivamente", "Supprimer définitivement";
    password: "Password", "Passwort", "Contraseña", "Mot de passe";
    password_hint: "A new password ends all your other sessions.",
        "Ein neues Passwort beendet alle Ihre anderen Sitzungen.",
        "Una contraseña nueva cierra todas tus demás sesiones.",
        "Un nouveau mot de passe ferme toutes vos autres sessions.";
    current_password: "Current password", "Aktuelles Passwort", "Contraseña actual", "Mot de passe actuel";
    new_password: "New password", "Neues Passwort", "Contraseña nueva", "Nouveau mot de passe";
    keep_keys: "Keep my API keys", "Meine API-Schlüssel behalten", "Conservar mis claves de API", "Conserver mes clés d’API";
    keep_keys_hint: "Not if somebody else may know your password.",
        "Nicht, wenn jemand anderes Ihr Passwort kennen könnte.",
        "No, si otra persona puede conocer tu contraseña.",
        "À éviter si quelqu’un d’autre peut connaître votre mot de passe.";
    change_password: "Change password", "Passwort ändern", "Cambiar la contraseña", "Changer le mot de passe";
    password_changed: "Your password is changed. All other sessions have ended.",
        "Ihr Passwort ist geändert. Alle anderen Sitzungen sind beendet.",
        "La contraseña se ha cambiado. Las demás sesiones se han cerrado.",
        "Votre mot de passe est modifié. Toutes les autres sessions sont fermées.";
    factors: "Two-step sign-in", "Zweistufige Anmeldung", "Inicio de sesión en dos pasos", "Connexion en deux étapes";
    keys: "API keys", "API-Schlüssel", "Claves de API", "Clés d’API";
    keys_hint: "For programs that act on your behalf. A key is shown only once.",
        "Für Programme, die in Ihrem Namen handeln. Ein Schlüssel wird nur einmal angezeigt.",
        "Para programas que actúan en tu nombre. Una clave se muestra una sola vez.",
        "Pour les programmes qui agissent en votre nom. Une clé n’est affichée qu’une fois.";
    no_keys: "You have no API keys yet.", "Sie haben noch keine API-Schlüssel.",
        "Aún no tienes claves de API.", "Vous n’avez pas encore de clé d’API.";
    new_key: "New API key", "Neuer API-Schlüssel", "Nueva clave de API", "Nouvelle clé d’API";
    key_name: "What is the key for?", "Wofür ist der Schlüssel?", "¿Para qué es la clave?", "À quoi sert cette clé ?";
    key_scopes: "What it may do", "Was er darf", "Qué puede hacer", "Ce qu’elle autorise";
    key_lifetime: "Valid for", "Gültig für", "Válida durante", "Valable pendant";
    days: "{n} day|{n} days", "{n} Tag|{n} Tage", "{n} día|{n} días", "{n} jour|{n} jours";
    create_key: "Create key", "Schlüssel erstellen", "Crear clave", "Créer la clé";
    key_created: "Copy the key now. It is not shown again.",
        "Kopieren Sie den Schlüssel jetzt. Er wird nicht noch einmal angezeigt.",
        "Copia la clave ahora. No se volverá a mostrar.",
        "Copiez la clé maintenant. Elle ne sera plus affichée.";
    never_used: "Never used", "Nie benutzt", "Nunca usada", "Jamais utilisée";
    revoke: "Revoke", "Widerrufen", "Revocar", "Révoquer";
    revoke_named: "Revoke the key “{name}”", "Schlüssel „{name}“ widerrufen",
        "Revocar la clave «{name}»", "Révoquer la clé « {name} »";
    key_revoked: "The key is revoked.", "Der Schlüssel ist widerrufen.",
        "La clave se ha revocado.", "La clé est révoquée.";
    events: "Activity", "Aktivität", "Actividad", "Activité";
    events_hint: "What you did, and what others did to your account.",
        "Was Sie getan haben, und was andere mit Ihrem Konto getan haben.",
        "Lo que has hecho tú y lo que otros han hecho con tu cuenta.",
        "Ce que vous avez fait, et ce que d’autres ont fait sur votre compte.";
    no_events: "Nothing has happened yet.", "Es ist noch nichts geschehen.",
        "Aún no ha pasado nada.", "Il ne s’est encore rien passé.";
    refused: "refused", "abgelehnt", "rechazado", "refusé";
    by_others: "by the administration", "durch die Verwaltung", "por la administración", "par l’administration";
    to_start: "Newest", "Neueste", "Lo más reciente", "Les plus récents";
    older: "Older", "Ältere", "Anteriores", "Plus anciens";
}
