//! What the actions of the audit trail are called on the page of a user's own events.

use super::texts;

texts! {
    /// The names of actions.
    EventTexts
    register: "Account created", "Konto angelegt", "Cuenta creada", "Compte créé";
    login: "Signed in", "Angemeldet", "Inicio de sesión", "Connexion";
    logout: "Signed out", "Abgemeldet", "Cierre de sesión", "Déconnexion";
    session_end: "Session ended", "Sitzung beendet", "Sesión cerrada", "Session terminée";
    session_rename: "Session renamed", "Sitzung umbenannt", "Sesión renombrada", "Session renommée";
    session_evicted: "Oldest session ended for a new one", "Älteste Sitzung für eine neue beendet",
        "Sesión más antigua cerrada por una nueva", "Session la plus ancienne remplacée par une nouvelle";
    session_renew: "Identity confirmed again", "Identität noch einmal bestätigt",
        "Identidad confirmada de nuevo", "Identité confirmée à nouveau";
    device_trust: "Device trusted", "Gerät als vertrauenswürdig gemerkt", "Dispositivo de confianza añadido", "Appareil ajouté aux appareils de confiance";
    device_end: "Trust in devices ended", "Vertrauen in Geräte beendet",
        "Confianza en dispositivos retirada", "Confiance retirée à des appareils";
    session_refresh_reuse: "Session ended because a token was copied",
        "Sitzung beendet, weil ein Token kopiert wurde",
        "Sesión cerrada porque se copió un token",
        "Session terminée parce qu’un jeton a été copié";
    token_issue: "Access token issued", "Zugriffstoken ausgestellt", "Token de acceso emitido", "Jeton d’accès délivré";
    token_revoke: "Access token revoked", "Zugriffstoken widerrufen", "Token de acceso revocado", "Jeton d’accès révoqué";
    key_create: "API key created", "API-Schlüssel erstellt", "Clave de API creada", "Clé d’API créée";
    key_first_use: "API key used for the first time", "API-Schlüssel zum ersten Mal benutzt",
        "Clave de API usada por primera vez", "Clé d’API utilisée pour la première fois";
    key_revoke: "API key revoked", "API-Schlüssel widerrufen", "Clave de API revocada", "Clé d’API révoquée";
    password_change: "Password changed", "Passwort geändert", "Contraseña cambiada", "Mot de passe modifié";
    user_update: "Profile changed", "Profil geändert", "Perfil modificado", "Profil modifié";
    user_disable: "Account disabled", "Konto gesperrt", "Cuenta desactivada", "Compte désactivé";
    user_enable: "Account enabled", "Konto freigegeben", "Cuenta reactivada", "Compte réactivé";
    user_unlock: "Account unlocked after wrong passwords", "Konto nach falschen Passwörtern entsperrt",
        "Cuenta desbloqueada tras contraseñas erróneas", "Compte débloqué après des mots de passe erronés";
    user_scopes: "Permissions changed", "Berechtigungen geändert", "Permisos modificados", "Autorisations modifiées";
    user_sign_out: "Signed out everywhere", "Überall abgemeldet", "Sesión cerrada en todas partes", "Déconnexion partout";
    account_throttled: "Many wrong passwords", "Viele falsche Passwörter", "Muchas contraseñas erróneas", "De nombreux mots de passe erronés";
    scope_refused: "Permission missing", "Berechtigung fehlte", "Faltaba un permiso", "Autorisation manquante";
}
