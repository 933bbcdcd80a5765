// Says why nothing happens where the page was opened as a file: browsers load modules from web
// servers only. A classic script, not a module, so that it runs there.
"use strict";

if (location.protocol === "file:") {
  const told = document.getElementById("told");
  told.textContent = "This page works only from a web server. Run `python -m http.server` in its " +
    "folder, then open http://localhost:8000";
  told.classList.add("error");
}
