//! The texts of the pages to which mails lead.

use super::texts;

texts! {
    /// The texts of the pages to which mails lead.
    MailStepTexts
    code: "Code from the mail", "Code aus der E-Mail", "Código del correo", "Code reçu par e-mail";
    new_password: "New password", "Neues Passwort", "Contraseña nueva", "Nouveau mot de passe";
    to_sign_in: "Back to sign-in", "Zurück zur Anmeldung", "Volver al inicio de sesión", "Retour à la connexion";
    forgot_title: "Forgot your password?", "Passwort vergessen?", "¿Has olvidado la contraseña?", "Mot de passe oublié ?";
    forgot_lead: "Enter your address. You get a mail with a link and a code to choose a new password.",
        "Geben Sie Ihre Adresse ein. Sie erhalten eine E-Mail mit einem Link und einem Code, um ein neues Passwort zu wählen.",
        "Escribe tu correo. Recibirás un mensaje con un enlace y un código para elegir una contraseña nueva.",
        "Saisissez votre adresse. Vous recevrez un e-mail avec un lien et un code pour choisir un nouveau mot de passe.";
    forgot_submit: "Send the mail", "E-Mail senden", "Enviar el correo", "Envoyer l’e-mail";
    forgot_sent: "If there is an account with this address, a mail is on its way. Open its link, or enter its code here.",
        "Falls es ein Konto mit dieser Adresse gibt, ist eine E-Mail unterwegs. Öffnen Sie den Link darin, oder geben Sie den Code hier ein.",
        "Si existe una cuenta con esta dirección, hemos enviado un correo. Abre su enlace o escribe aquí su código.",
        "Si un compte existe avec cette adresse, un e-mail est en route. Ouvrez son lien ou saisissez son code ici.";
    reset_title: "Choose a new password", "Neues Passwort wählen", "Elige una contraseña nueva", "Choisir un nouveau mot de passe";
    reset_lead: "You are then signed out everywhere, and your API keys end.",
        "Danach sind Sie überall abgemeldet, und Ihre API-Schlüssel sind ungültig.",
        "Después se cerrarán todas tus sesiones y dejarán de valer tus claves de API.",
        "Vous serez ensuite déconnecté partout, et vos clés d’API ne seront plus valables.";
    reset_submit: "Set the password", "Passwort setzen", "Guardar la contraseña", "Enregistrer le mot de passe";
    reset_done: "Your password is changed. Sign in with the new one.",
        "Ihr Passwort ist geändert. Melden Sie sich mit dem neuen an.",
        "Tu contraseña ha cambiado. Inicia sesión con la nueva.",
        "Votre mot de passe est modifié. Connectez-vous avec le nouveau.";
    verify_title: "Confirm your address", "Adresse bestätigen", "Confirma tu dirección", "Confirmer votre adresse";
    verify_lead: "Press the button if you have an account here with this address.",
        "Drücken Sie den Knopf, wenn Sie hier ein Konto mit dieser Adresse haben.",
        "Pulsa el botón si tienes aquí una cuenta con esta dirección.",
        "Appuyez sur le bouton si vous avez un compte ici avec cette adresse.";
    verify_submit: "Confirm", "Bestätigen", "Confirmar", "Confirmer";
    verify_done: "Your address is confirmed.", "Ihre Adresse ist bestätigt.",
        "Tu dirección está confirmada.", "Votre adresse est confirmée.";
    change_title: "Use this address", "Diese Adresse verwenden", "Usar esta dirección", "Utiliser cette adresse";
    change_lead: "Press the button to use this address for your account from now on.",
        "Drücken Sie den Knopf, um diese Adresse ab jetzt für Ihr Konto zu verwenden.",
        "Pulsa el botón para usar esta dirección en tu cuenta a partir de ahora.",
        "Appuyez sur le bouton pour utiliser désormais cette adresse pour votre compte.";
    change_done: "Your account has its new address.", "Ihr Konto hat die neue Adresse.",
        "Tu cuenta tiene la dirección nueva.", "Votre compte a sa nouvelle adresse.";
    undo_title: "Take your account back", "Konto zurückholen", "Recupera tu cuenta", "Récupérer votre compte";
    undo_lead: "Your account gets this address back, is signed out everywhere, and you get a mail to choose a new password.",
        "Ihr Konto erhält diese Adresse zurück und wird überall abgemeldet, und Sie erhalten eine E-Mail, um ein neues Passwort zu wählen.",
        "Tu cuenta recupera esta dirección, se cierran todas las sesiones y recibes un correo para elegir una contraseña nueva.",
        "Votre compte retrouve cette adresse, toutes les sessions sont fermées, et vous recevez un e-mail pour choisir un nouveau mot de passe.";
    undo_submit: "Take it back", "Zurückholen", "Recuperar", "Récupérer";
    undo_done: "Your account has its earlier address again. Look into your mail to choose a new password.",
        "Ihr Konto hat wieder die frühere Adresse. Sehen Sie in Ihre E-Mails, um ein neues Passwort zu wählen.",
        "Tu cuenta vuelve a tener la dirección anterior. Mira tu correo para elegir una contraseña nueva.",
        "Votre compte a retrouvé son ancienne adresse. Consultez vos e-mails pour choisir un nouveau mot de passe.";
    invitation_title: "You are invited", "Sie sind eingeladen", "Tienes una invitación", "Vous êtes invité";
    invitation_lead: "Choose a name and a password for your account.",
        "Wählen Sie einen Namen und ein Passwort für Ihr Konto.",
        "Elige un nombre y una contraseña para tu cuenta.",
        "Choisissez un nom et un mot de passe pour votre compte.";
    invitation_done: "Your account is ready. Sign in.", "Ihr Konto ist bereit. Melden Sie sich an.",
        "Tu cuenta está lista. Inicia sesión.", "Votre compte est prêt. Connectez-vous.";
}
