//! The texts of the page that asks for the password once more.

use super::texts;

texts! {
    /// The texts of the page that asks for the password, and for a code or a passkey, before a change.
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
    passkey_hint: "Enter your password, and go on with a code or with your passkey; nothing has changed yet.",
        "Geben Sie Ihr Passwort ein, und fahren Sie mit einem Code oder Ihrem Passkey fort; bisher wurde nichts geändert.",
        "Escribe tu contraseña y continúa con un código o con tu llave de acceso; aún no se ha cambiado nada.",
        "Saisissez votre mot de passe, puis continuez avec un code ou votre clé d’accès ; rien n’a encore été modifié.";
    lone_passkey_hint: "Use your passkey, or enter your password and a code to go on; nothing has changed yet.",
        "Benutzen Sie Ihren Passkey, oder geben Sie Ihr Passwort und einen Code ein, um fortzufahren; bisher wurde nichts geändert.",
        "Usa tu llave de acceso, o escribe tu contraseña y un código para continuar; aún no se ha cambiado nada.",
        "Utilisez votre clé d’accès, ou saisissez votre mot de passe et un code pour continuer ; rien n’a encore été modifié.";
    without_script: "Passkeys need JavaScript, which is off in this browser. Your password and a recovery code work without it.",
        "Passkeys brauchen JavaScript, das in diesem Browser ausgeschaltet ist. Ihr Passwort und ein Wiederherstellungscode gehen auch ohne.",
        "Las llaves de acceso necesitan JavaScript, que está desactivado en este navegador. Tu contraseña y un código de recuperación funcionan sin él.",
        "Les clés d’accès nécessitent JavaScript, désactivé dans ce navigateur. Votre mot de passe et un code de secours fonctionnent sans lui.";
    host_recent: "To go on to {host}, show once more that it is you.",
        "Um zu {host} zu gelangen, zeigen Sie noch einmal, dass Sie es sind.",
        "Para continuar a {host}, demuestra otra vez que eres tú.",
        "Pour continuer vers {host}, montrez encore une fois que c’est vous.";
    host_factor: "To go on to {host}, a second factor is needed besides your password.",
        "Um zu {host} zu gelangen, brauchen Sie außer dem Passwort einen zweiten Faktor.",
        "Para continuar a {host}, además de la contraseña se necesita un segundo factor.",
        "Pour continuer vers {host}, il faut un second facteur en plus de votre mot de passe.";
    host_new_factor: "To go on to {host}, you need two-step sign-in. Enter your password to set it up.",
        "Um zu {host} zu gelangen, brauchen Sie die zweistufige Anmeldung. Geben Sie Ihr Passwort ein, um sie einzurichten.",
        "Para continuar a {host}, necesitas el inicio de sesión en dos pasos. Escribe tu contraseña para configurarlo.",
        "Pour continuer vers {host}, il vous faut la connexion en deux étapes. Saisissez votre mot de passe pour la configurer.";
    signed_in_as: "You are signed in as {email}.", "Sie sind als {email} angemeldet.",
        "Has iniciado sesión como {email}.", "Vous êtes connecté en tant que {email}.";
    your_password: "Your password", "Ihr Passwort", "Tu contraseña", "Votre mot de passe";
    your_code: "Code of your app, or a recovery code", "Code Ihrer App oder ein Wiederherstellungscode",
        "Código de tu aplicación o un código de recuperación", "Code de votre application ou un code de secours";
    your_recovery_code: "Recovery code", "Wiederherstellungscode", "Código de recuperación", "Code de secours";
    go_on: "Continue", "Fortfahren", "Continuar", "Continuer";
}
