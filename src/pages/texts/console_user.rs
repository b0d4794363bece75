//! The texts of the console's page of one user.

use super::texts;

texts! {
    /// The texts of the page of one user.
    UserTexts
    profile: "Profile", "Profil", "Perfil", "Profil";
    id: "Id", "Kennung", "Identificador", "Identifiant";
    external_id: "Id before the import", "Kennung vor dem Import", "Identificador antes de la importación", "Identifiant avant l’importation";
    since: "Disabled since {when}", "Gesperrt seit {when}", "Desactivado desde {when}", "Désactivé depuis le {when}";
    actions: "Access", "Zugang", "Acceso", "Accès";
    // Each action: the button, what it does, and what the page says afterwards.
    disable: "Disable", "Sperren", "Desactivar", "Désactiver";
    disable_hint: "The user is signed out at once, and cannot sign in any more. All API keys end for good.",
        "Das Konto wird sofort überall abgemeldet und kann sich nicht mehr anmelden. Alle API-Schlüssel enden endgültig.",
        "Se cierran enseguida todas las sesiones y no se podrá iniciar ninguna más. Todas las claves de API terminan para siempre.",
        "Toutes les sessions prennent fin aussitôt et plus aucune connexion n’est possible. Toutes les clés d’API prennent fin définitivement.";
    disable_now: "Disable now", "Jetzt sperren", "Desactivar ahora", "Désactiver maintenant";
    is_disabled: "The user is disabled.", "Das Konto ist gesperrt.", "El usuario está desactivado.", "Le compte est désactivé.";
    enable: "Enable", "Freigeben", "Reactivar", "Réactiver";
    is_enabled: "The user can sign in again.", "Das Konto kann sich wieder anmelden.",
        "El usuario puede volver a iniciar sesión.", "La connexion est de nouveau possible.";
    unlock: "Unlock", "Entsperren", "Desbloquear", "Débloquer";
    unlock_hint: "Forgets the wrong passwords, so that nobody has to wait.",
        "Vergisst die falschen Passwörter, so dass niemand warten muss.",
        "Olvida las contraseñas erróneas, para que nadie tenga que esperar.",
        "Oublie les mots de passe erronés, pour que personne n’ait à attendre.";
    is_unlocked: "The wrong passwords are forgotten.", "Die falschen Passwörter sind vergessen.",
        "Las contraseñas erróneas se han olvidado.", "Les mots de passe erronés sont oubliés.";
    sign_out: "End all sessions", "Alle Sitzungen beenden", "Cerrar todas las sesiones", "Mettre fin à toutes les sessions";
    sign_out_hint: "The user has to sign in again everywhere. API keys stay valid.",
        "Die Person muss sich überall neu anmelden. API-Schlüssel bleiben gültig.",
        "Habrá que iniciar sesión de nuevo en todas partes. Las claves de API siguen siendo válidas.",
        "Il faudra se reconnecter partout. Les clés d’API restent valables.";
    sign_out_now: "End them now", "Jetzt beenden", "Cerrarlas ahora", "Y mettre fin maintenant";
    is_signed_out: "All sessions of the user have ended.", "Alle Sitzungen des Kontos sind beendet.",
        "Se han cerrado todas las sesiones del usuario.", "Toutes les sessions du compte sont terminées.";
    delete: "Delete", "Löschen", "Eliminar", "Supprimer";
    delete_hint: "Deletes the user with all sessions and keys. This cannot be undone. The events stay.",
        "Löscht das Konto mit allen Sitzungen und Schlüsseln. Das lässt sich nicht rückgängig machen. Die Ereignisse bleiben.",
        "Elimina el usuario con todas sus sesiones y claves. No se puede deshacer. Los eventos se conservan.",
        "Supprime le compte avec toutes ses sessions et clés. C’est irréversible. Les événements restent.";
    delete_now: "Delete for good", "Endgültig löschen", "Eliminar para siempre", "Supprimer définitivement";
    is_deleted: "The user is deleted.", "Das Konto ist gelöscht.", "El usuario se ha eliminado.", "Le compte est supprimé.";
    is_created: "The user is created.", "Das Konto ist angelegt.", "El usuario se ha creado.", "Le compte est créé.";
    // Scopes.
    no_scopes: "The user may do what everybody may.", "Das Konto darf, was alle dürfen.",
        "El usuario puede hacer lo que puede cualquiera.", "Le compte permet ce qui est permis à tous.";
    add_scope: "Permission to add", "Neue Berechtigung", "Permiso que se añade", "Autorisation à ajouter";
    add: "Add", "Hinzufügen", "Añadir", "Ajouter";
    remove: "Remove", "Entziehen", "Quitar", "Retirer";
    remove_named: "Remove the permission {name}", "Berechtigung {name} entziehen",
        "Quitar el permiso {name}", "Retirer l’autorisation {name}";
    scopes_changed: "The permissions are changed. Sessions get added ones at the next sign-in.",
        "Die Berechtigungen sind geändert. Neue gelten ab der nächsten Anmeldung.",
        "Los permisos han cambiado. Los añadidos valen desde el próximo inicio de sesión.",
        "Les autorisations sont modifiées. Les ajouts valent dès la prochaine connexion.";
    // Sessions and keys.
    sessions: "Sessions", "Sitzungen", "Sesiones", "Sessions";
    no_sessions: "Not signed in anywhere.", "Nirgends angemeldet.", "Sin sesiones iniciadas.", "Connecté nulle part.";
    session_ended: "The session has ended.", "Die Sitzung ist beendet.", "La sesión se ha cerrado.", "La session est terminée.";
    issued: "Issued by an operator", "Vom Betreiber ausgestellt", "Emitida por el operador", "Délivrée par l’opérateur";
    keys: "API keys", "API-Schlüssel", "Claves de API", "Clés d’API";
    no_keys: "No API keys.", "Keine API-Schlüssel.", "Sin claves de API.", "Aucune clé d’API.";
    key_used: "Used {when}", "Benutzt {when}", "Usada {when}", "Utilisée {when}";
    key_unused: "Never used", "Nie benutzt", "Nunca usada", "Jamais utilisée";
    key_ends: "Valid until {when}", "Gültig bis {when}", "Válida hasta el {when}", "Valable jusqu’au {when}";
    key_endless: "No end", "Ohne Ende", "Sin fin", "Sans fin";
    key_ended: "Expired", "Abgelaufen", "Caducada", "Expirée";
    revoke: "Revoke", "Widerrufen", "Revocar", "Révoquer";
    revoke_named: "Revoke the key “{name}”", "Schlüssel „{name}“ widerrufen",
        "Revocar la clave «{name}»", "Révoquer la clé « {name} »";
    key_revoked: "The key is revoked.", "Der Schlüssel ist widerrufen.", "La clave se ha revocado.", "La clé est révoquée.";
    // Events.
    recent_events: "Recent events", "Letzte Ereignisse", "Eventos recientes", "Événements récents";
    all_events: "All events of the user", "Alle Ereignisse des Kontos", "Todos los eventos del usuario", "Tous les événements du compte";
}
