//! The texts about what went wrong.

use super::texts;

texts! {
    /// The texts about what went wrong.
    ProblemTexts
    // Titles and explanations of pages without a form.
    not_found: "Page not found", "Seite nicht gefunden", "Página no encontrada", "Page introuvable";
    not_found_text: "This page does not exist, or what it showed is gone.",
        "Diese Seite gibt es nicht, oder was sie zeigte, ist nicht mehr da.",
        "Esta página no existe, o lo que mostraba ya no está.",
        "Cette page n’existe pas, ou ce qu’elle affichait n’est plus là.";
    bad_link: "The link or code is not valid any more. Ask for another mail.",
        "Der Link oder Code gilt nicht mehr. Fordern Sie eine neue E-Mail an.",
        "El enlace o el código ya no es válido. Pide otro correo.",
        "Le lien ou le code n’est plus valable. Demandez un autre e-mail.";
    already_verified: "This address is confirmed already.", "Diese Adresse ist schon bestätigt.",
        "Esta dirección ya está confirmada.", "Cette adresse est déjà confirmée.";
    unavailable: "Please try again", "Bitte noch einmal versuchen", "Vuelve a intentarlo", "Veuillez réessayer";
    unavailable_text: "The service cannot answer at the moment. Try again in a few seconds.",
        "Der Dienst kann gerade nicht antworten. Versuchen Sie es in ein paar Sekunden noch einmal.",
        "El servicio no puede responder en este momento. Inténtalo de nuevo en unos segundos.",
        "Le service ne peut pas répondre pour le moment. Réessayez dans quelques secondes.";
    internal: "Something went wrong", "Etwas ist schiefgegangen", "Algo ha fallado", "Une erreur est survenue";
    internal_text: "The fault is ours, and it is in the log under {id}.",
        "Der Fehler liegt bei uns und steht im Protokoll unter {id}.",
        "El fallo es nuestro y está en el registro con el identificador {id}.",
        "L’erreur vient de nous ; elle figure dans le journal sous {id}.";
    other_site: "This form was sent from another site", "Dieses Formular kam von einer anderen Website",
        "Este formulario se envió desde otro sitio", "Ce formulaire provient d’un autre site";
    other_site_text: "Nothing has changed. Open the page here, and send the form again.",
        "Es wurde nichts geändert. Öffnen Sie die Seite hier und senden Sie das Formular noch einmal.",
        "No se ha cambiado nada. Abre la página aquí y envía el formulario de nuevo.",
        "Rien n’a été modifié. Ouvrez la page ici, puis renvoyez le formulaire.";
    other_user: "This form belongs to somebody else", "Dieses Formular gehört zu jemand anderem",
        "Este formulario es de otra persona", "Ce formulaire appartient à quelqu’un d’autre";
    other_user_text: "Since the page was opened, {email} has signed in. Nothing has changed.",
        "Seit die Seite geöffnet wurde, hat sich {email} angemeldet. Es wurde nichts geändert.",
        "Desde que se abrió la página, {email} ha iniciado sesión. No se ha cambiado nada.",
        "Depuis l’ouverture de la page, {email} s’est connecté. Rien n’a été modifié.";
    cookie_lost: "Your browser did not keep the sign-in", "Ihr Browser hat die Anmeldung nicht behalten",
        "Tu navegador no guardó el inicio de sesión", "Votre navigateur n’a pas conservé la connexion";
    cookie_lost_text: "The password was right, but the browser has not sent back our cookie. Allow cookies for this site, and check that its address begins with https.",
        "Das Passwort war richtig, aber der Browser hat unser Cookie nicht zurückgeschickt. Erlauben Sie Cookies für diese Website, und prüfen Sie, ob ihre Adresse mit https beginnt.",
        "La contraseña era correcta, pero el navegador no ha devuelto nuestra cookie. Permite las cookies de este sitio y comprueba que su dirección empiece por https.",
        "Le mot de passe était correct, mais le navigateur n’a pas renvoyé notre cookie. Autorisez les cookies de ce site et vérifiez que son adresse commence par https.";
    no_public_url: "Pages are not set up yet", "Die Seiten sind noch nicht eingerichtet",
        "Las páginas aún no están configuradas", "Les pages ne sont pas encore configurées";
    no_public_url_text: "The operator has to set TOKENHOUSE_PUBLIC_URL to the address of this service, such as https://auth.example.com.",
        "Der Betreiber muss TOKENHOUSE_PUBLIC_URL auf die Adresse dieses Dienstes setzen, etwa https://auth.example.com.",
        "El operador debe asignar a TOKENHOUSE_PUBLIC_URL la dirección de este servicio, por ejemplo https://auth.example.com.",
        "L’opérateur doit définir TOKENHOUSE_PUBLIC_URL avec l’adresse de ce service, par exemple https://auth.example.com.";
    plain_http: "Signing in needs https", "Zum Anmelden ist https nötig",
        "Para iniciar sesión hace falta https", "La connexion nécessite https";
    plain_http_text: "TOKENHOUSE_PUBLIC_URL begins with http, so browsers would not keep the sign-in, and others in the network could read the password. The operator has to put a proxy with a certificate before the service. http works on this machine only, as localhost.",
        "TOKENHOUSE_PUBLIC_URL beginnt mit http. Browser würden die Anmeldung deshalb nicht behalten, und andere im Netz könnten das Passwort mitlesen. Der Betreiber muss einen Proxy mit Zertifikat vor den Dienst stellen. http geht nur auf diesem Rechner, als localhost.",
        "TOKENHOUSE_PUBLIC_URL empieza por http, así que los navegadores no guardarían el inicio de sesión y otros en la red podrían leer la contraseña. El operador debe poner un proxy con certificado delante del servicio. http solo funciona en esta máquina, como localhost.",
        "TOKENHOUSE_PUBLIC_URL commence par http : les navigateurs ne conserveraient pas la connexion et d’autres personnes sur le réseau pourraient lire le mot de passe. L’opérateur doit placer un proxy avec certificat devant le service. http ne fonctionne que sur cette machine, sous le nom localhost.";
    forbidden: "You may not see this page", "Diese Seite ist für Sie nicht freigegeben",
        "No tienes acceso a esta página", "Vous n’avez pas accès à cette page";
    forbidden_to: "You are signed in as {email}.", "Sie sind als {email} angemeldet.",
        "Has iniciado sesión como {email}.", "Vous êtes connecté en tant que {email}.";
    forbidden_text: "It needs the permission {scope}, which your account does not have.",
        "Dafür ist die Berechtigung {scope} nötig, die Ihr Konto nicht hat.",
        "Requiere el permiso {scope}, que tu cuenta no tiene.",
        "Elle exige l’autorisation {scope}, que votre compte n’a pas.";
    second_factor: "This page needs a second factor", "Diese Seite verlangt einen zweiten Faktor",
        "Esta página exige un segundo factor", "Cette page exige un second facteur";
    second_factor_text: "Sign out, and sign in again with the code of your authenticator app. If you have none yet, add it first.",
        "Melden Sie sich ab und mit dem Code Ihrer Authenticator-App wieder an. Wenn Sie noch keine haben, fügen Sie sie zuerst hinzu.",
        "Cierra la sesión y vuelve a iniciarla con el código de tu aplicación de autenticación. Si aún no tienes ninguna, añádela primero.",
        "Déconnectez-vous, puis reconnectez-vous avec le code de votre application d’authentification. Si vous n’en avez pas encore, ajoutez-la d’abord.";
    no_second_factors: "{host} needs a sign-in with a second factor, and this service has none. Ask its operator.",
        "{host} verlangt eine Anmeldung mit einem zweiten Faktor, und dieser Dienst hat keinen. Fragen Sie den Betreiber.",
        "{host} exige iniciar sesión con un segundo factor, y este servicio no tiene ninguno. Pregunta al operador.",
        "{host} exige une connexion avec un second facteur, et ce service n’en propose pas. Demandez à l’opérateur.";
    unreadable: "The form could not be read", "Das Formular war nicht lesbar",
        "No se pudo leer el formulario", "Le formulaire n’a pas pu être lu";
    unreadable_text: "Nothing has changed. Go back and send it again.",
        "Es wurde nichts geändert. Gehen Sie zurück und senden Sie es noch einmal.",
        "No se ha cambiado nada. Vuelve atrás y envíalo de nuevo.",
        "Rien n’a été modifié. Revenez en arrière et renvoyez-le.";
    // Above a form.
    bad_credentials: "The e-mail address or the password is wrong.",
        "Die E-Mail-Adresse oder das Passwort ist falsch.",
        "El correo electrónico o la contraseña no son correctos.",
        "L’adresse e-mail ou le mot de passe est incorrect.";
    wrong_password: "The password is wrong.", "Das Passwort ist falsch.",
        "La contraseña no es correcta.", "Le mot de passe est incorrect.";
    code_required: "You signed in without a code. Sign out, sign in with your code, and try again.",
        "Sie haben sich ohne Code angemeldet. Melden Sie sich ab und mit Ihrem Code wieder an, und versuchen Sie es noch einmal.",
        "Has iniciado sesión sin código. Cierra la sesión, entra con tu código y vuelve a intentarlo.",
        "Vous vous êtes connecté sans code. Déconnectez-vous, connectez-vous avec votre code, puis réessayez.";
    too_many_factors: "You have ten apps and passkeys. Remove one first.",
        "Sie haben zehn Apps und Passkeys. Entfernen Sie zuerst einen Eintrag.",
        "Tienes diez aplicaciones y llaves de acceso. Quita antes una.",
        "Vous avez dix applications et clés d’accès. Retirez-en une d’abord.";
    bad_passkey: "The passkey was not accepted. Try again, or use another way.",
        "Der Passkey wurde nicht akzeptiert. Versuchen Sie es noch einmal oder auf einem anderen Weg.",
        "La llave de acceso no se ha aceptado. Inténtalo de nuevo o usa otro método.",
        "La clé d’accès n’a pas été acceptée. Réessayez, ou utilisez un autre moyen.";
    factor_over: "You have waited too long. Begin again.", "Sie haben zu lange gewartet. Beginnen Sie noch einmal.",
        "Has esperado demasiado. Empieza de nuevo.", "Vous avez attendu trop longtemps. Recommencez.";
    wrong_code: "The code is wrong, or was used before.", "Der Code ist falsch oder wurde schon benutzt.",
        "El código es incorrecto o ya se ha usado.", "Le code est incorrect ou a déjà été utilisé.";
    sign_in_over: "This sign-in has ended. Sign in from the start.",
        "Diese Anmeldung ist beendet. Melden Sie sich noch einmal von vorn an.",
        "Este inicio de sesión ha terminado. Empieza de nuevo.",
        "Cette connexion est terminée. Recommencez depuis le début.";
    no_code: "This is not a code. Enter it as it is shown.",
        "Das ist kein Code. Geben Sie ihn so ein, wie er angezeigt wird.",
        "Esto no es un código. Escríbelo tal como se muestra.",
        "Ce n’est pas un code. Saisissez-le tel qu’il est affiché.";
    too_many: "Too many attempts. Try again in {wait}.",
        "Zu viele Versuche. Versuchen Sie es in {wait} noch einmal.",
        "Demasiados intentos. Vuelve a intentarlo en {wait}.",
        "Trop de tentatives. Réessayez dans {wait}.";
    busy: "Many people are signing in right now. Try again in {wait}.",
        "Gerade melden sich viele Leute an. Versuchen Sie es in {wait} noch einmal.",
        "Muchas personas están iniciando sesión ahora. Vuelve a intentarlo en {wait}.",
        "Beaucoup de personnes se connectent en ce moment. Réessayez dans {wait}.";
    seconds: "{n} second|{n} seconds", "{n} Sekunde|{n} Sekunden", "{n} segundo|{n} segundos", "{n} seconde|{n} secondes";
    minutes: "{n} minute|{n} minutes", "{n} Minute|{n} Minuten", "{n} minuto|{n} minutos", "{n} minute|{n} minutes";
    check_fields: "Please check the marked field.|Please check the {n} marked fields.",
        "Bitte prüfen Sie das markierte Feld.|Bitte prüfen Sie die {n} markierten Felder.",
        "Revisa el campo marcado.|Revisa los {n} campos marcados.",
        "Vérifiez le champ signalé.|Vérifiez les {n} champs signalés.";
    email_taken: "There is already an account with this address.",
        "Mit dieser Adresse gibt es schon ein Konto.",
        "Ya existe una cuenta con esta dirección.",
        "Il existe déjà un compte avec cette adresse.";
    registration_refused: "This address may not create an account here. Ask the operator for one.",
        "Mit dieser Adresse kann hier kein Konto angelegt werden. Fragen Sie den Betreiber.",
        "Con esta dirección no se puede crear una cuenta aquí. Pídesela al operador.",
        "Cette adresse ne permet pas de créer un compte ici. Demandez-en un à l’opérateur.";
    too_many_keys: "You have the maximum number of keys. Revoke one first.",
        "Sie haben die größte erlaubte Zahl von Schlüsseln. Widerrufen Sie zuerst einen.",
        "Tienes el número máximo de claves. Revoca una primero.",
        "Vous avez atteint le nombre maximal de clés. Révoquez-en une d’abord.";
    last_administrator: "You are the last administrator who can sign in. Give somebody else the permission first. The operator can delete the account in any case: tokenhouse user delete.",
        "Sie sind die letzte Person mit Verwaltungsrechten. Geben Sie die Berechtigung zuerst jemand anderem. Der Betreiber kann das Konto auf jeden Fall löschen: tokenhouse user delete.",
        "Eres la última persona con permisos de administración. Da primero el permiso a otra. El operador puede eliminar la cuenta en cualquier caso: tokenhouse user delete.",
        "Vous êtes la dernière personne à pouvoir administrer le service. Donnez d’abord l’autorisation à une autre. L’opérateur peut supprimer le compte dans tous les cas : tokenhouse user delete.";
    // At a field.
    missing: "Fill in this field.", "Füllen Sie dieses Feld aus.", "Rellena este campo.", "Remplissez ce champ.";
    too_short: "Use at least {n} character.|Use at least {n} characters.",
        "Mindestens {n} Zeichen.|Mindestens {n} Zeichen.",
        "Usa al menos {n} carácter.|Usa al menos {n} caracteres.",
        "Au moins {n} caractère.|Au moins {n} caractères.";
    too_long: "Use at most {n} character.|Use at most {n} characters.",
        "Höchstens {n} Zeichen.|Höchstens {n} Zeichen.",
        "Usa como máximo {n} carácter.|Usa como máximo {n} caracteres.",
        "Au plus {n} caractère.|Au plus {n} caractères.";
    too_many_bytes: "This is too long.", "Das ist zu lang.", "Es demasiado largo.", "C’est trop long.";
    bad_email: "This is not an e-mail address.", "Das ist keine E-Mail-Adresse.",
        "No es una dirección de correo electrónico.", "Ce n’est pas une adresse e-mail.";
    common_password: "This password is easy to guess. Use a longer one, without your name or address.",
        "Dieses Passwort ist leicht zu erraten. Nehmen Sie ein längeres, ohne Ihren Namen oder Ihre Adresse.",
        "Esta contraseña es fácil de adivinar. Usa una más larga, sin tu nombre ni tu dirección.",
        "Ce mot de passe est facile à deviner. Choisissez-en un plus long, sans votre nom ni votre adresse.";
    bad_value: "This is not allowed here.", "Das ist hier nicht erlaubt.", "Esto no se permite aquí.", "Ceci n’est pas autorisé ici.";
}
