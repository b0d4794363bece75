//! The texts of the pages for signing in and out.

use super::texts;

texts! {
    /// The texts of the pages for signing in and out.
    SignInTexts
    title: "Sign in", "Anmelden", "Iniciar sesión", "Connexion";
    email: "E-mail address", "E-Mail-Adresse", "Correo electrónico", "Adresse e-mail";
    password: "Password", "Passwort", "Contraseña", "Mot de passe";
    keep: "Keep me signed in", "Angemeldet bleiben", "Mantener la sesión iniciada", "Rester connecté";
    keep_hint: "For 30 days. Not on a shared computer.",
        "Für 30 Tage. Nicht auf einem gemeinsam genutzten Gerät.",
        "Durante 30 días. No en un equipo compartido.",
        "Pendant 30 jours. À éviter sur un appareil partagé.";
    submit: "Sign in", "Anmelden", "Iniciar sesión", "Se connecter";
    forgot: "Forgot your password?", "Passwort vergessen?", "¿Has olvidado la contraseña?", "Mot de passe oublié ?";
    no_account: "No account yet?", "Noch kein Konto?", "¿Aún no tienes cuenta?", "Pas encore de compte ?";
    sign_up: "Create one", "Konto anlegen", "Crear una", "Créer un compte";
    code_title: "Enter your code", "Geben Sie Ihren Code ein", "Escribe tu código", "Saisissez votre code";
    code_hint: "The password was right. Enter the code of your authenticator app, or one of your recovery codes.",
        "Das Passwort war richtig. Geben Sie den Code aus Ihrer Authenticator-App ein oder einen Ihrer Wiederherstellungscodes.",
        "La contraseña era correcta. Escribe el código de tu aplicación de autenticación o uno de tus códigos de recuperación.",
        "Le mot de passe était correct. Saisissez le code de votre application d’authentification ou l’un de vos codes de secours.";
    code: "Code", "Code", "Código", "Code";
    enrol_title: "Set up two-step sign-in", "Zweistufige Anmeldung einrichten",
        "Configura el inicio de sesión en dos pasos", "Configurez la connexion en deux étapes";
    enrol_hint: "The password was right. Sign-ins here also need a code from your phone: scan the picture with an authenticator app, and enter the code that the app shows.",
        "Das Passwort war richtig. Die Anmeldung braucht hier auch einen Code von Ihrem Telefon: Scannen Sie das Bild mit einer Authenticator-App, und geben Sie den Code ein, den die App anzeigt.",
        "La contraseña era correcta. Aquí también se necesita un código de tu teléfono: escanea la imagen con una aplicación de autenticación y escribe el código que muestre.",
        "Le mot de passe était correct. La connexion demande ici aussi un code de votre téléphone : scannez l’image avec une application d’authentification, puis saisissez le code qu’elle affiche.";
    remember: "Trust this device", "Diesem Gerät vertrauen", "Confiar en este dispositivo", "Faire confiance à cet appareil";
    remember_hint: "No code for {n} day. Not on a shared computer.|No code for {n} days. Not on a shared computer.",
        "{n} Tag lang ohne Code. Nicht auf einem gemeinsam genutzten Gerät.|{n} Tage lang ohne Code. Nicht auf einem gemeinsam genutzten Gerät.",
        "Sin código durante {n} día. No en un equipo compartido.|Sin código durante {n} días. No en un equipo compartido.",
        "Sans code pendant {n} jour. À éviter sur un appareil partagé.|Sans code pendant {n} jours. À éviter sur un appareil partagé.";
    start_again: "Sign in from the start", "Noch einmal von vorn anmelden", "Empezar de nuevo", "Recommencer la connexion";
    already_title: "You are signed in", "Sie sind angemeldet", "Has iniciado sesión", "Vous êtes connecté";
    already: "You are signed in as {email}.",
        "Sie sind als {email} angemeldet.",
        "Has iniciado sesión como {email}.",
        "Vous êtes connecté en tant que {email}.";
    to_account: "Go to my account", "Zu meinem Konto", "Ir a mi cuenta", "Accéder à mon compte";
    signed_out: "You are signed out.", "Sie sind abgemeldet.", "Has cerrado la sesión.", "Vous êtes déconnecté.";
    is_required: "Sign in to go on.", "Melden Sie sich an, um fortzufahren.",
        "Inicia sesión para continuar.", "Connectez-vous pour continuer.";
    deleted: "Your account is deleted.", "Ihr Konto ist gelöscht.", "Tu cuenta se ha eliminado.", "Votre compte est supprimé.";
    sign_up_title: "Create an account", "Konto anlegen", "Crear una cuenta", "Créer un compte";
    name: "Name", "Name", "Nombre", "Nom";
    password_hint: "At least {n} character.|At least {n} characters.",
        "Mindestens {n} Zeichen.|Mindestens {n} Zeichen.",
        "Al menos {n} carácter.|Al menos {n} caracteres.",
        "Au moins {n} caractère.|Au moins {n} caractères.";
    sign_up_submit: "Create account", "Konto anlegen", "Crear cuenta", "Créer le compte";
    has_account: "Already have an account?", "Sie haben schon ein Konto?", "¿Ya tienes una cuenta?", "Vous avez déjà un compte ?";
}
