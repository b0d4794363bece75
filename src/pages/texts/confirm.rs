//! The texts of the page that asks for the password once more.

use super::texts;

texts! {
    /// The texts of the page that asks for the password, and for a code, before a change.
    ConfirmTexts
    title: "Confirm that it is you", "Bestätigen Sie, dass Sie es sind",
        "Confirma que eres tú", "Confirmez votre identité";
    password_hint: "You signed in more than 15 minutes ago. Enter your password to go on; nothing has changed yet.",
        "Ihre Anmeldung liegt mehr als 15 Minuten zurück. Geben Sie Ihr Passwort ein, um fortzufahren; bisher wurde nichts geändert.",
        "Iniciaste sesión hace más de 15 minutos. Escribe tu contraseña para continuar; aún no se ha cambiado nada.",
        "Vous vous êtes connecté il y a plus de 15 minutes. Saisissez votre mot de passe pour continuer ; rien n’a encore été modifié.";
    code_hint: "Enter your password and a code to go on; nothing has changed yet.",
        "Geben Sie Ihr Passwort und einen Code ein, um fortzufahren; bisher wurde nichts geändert.",
        "Escribe tu contraseña y un código para continuar; aún no se ha cambiado nada.",
        "Saisissez votre mot de passe et un code pour continuer ; rien n’a encore été modifié.";
    signed_in_as: "You are signed in as {email}.", "Sie sind als {email} angemeldet.",
        "Has iniciado sesión como {email}.", "Vous êtes connecté en tant que {email}.";
    your_password: "Your password", "Ihr Passwort", "Tu contraseña", "Votre mot de passe";
    your_code: "Code of your app, or a recovery code", "Code Ihrer App oder ein Wiederherstellungscode",
        "Código de tu aplicación o un código de recuperación", "Code de votre application ou un code de secours";
    go_on: "Continue", "Fortfahren", "Continuar", "Continuer";
}
