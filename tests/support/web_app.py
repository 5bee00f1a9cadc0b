"""A web app as a teacher finds one: scripts, styles and handlers inside the page, and a report at the end."""

from tests.support.raw_zip import Raw, make_zip

INDEX = b"""<!doctype html>
<html lang="fr">
<head>
<meta charset="utf-8"><title>La bouilloire</title>
<meta name="license" content="CC-BY-4.0">
<base href="./">
<link rel="icon" href="favicon.gone.png">
<style>
  #now { color: rgb(1, 2, 3); }
</style>
<script type="application/json" id="settings">{"step": 40}</script>
</head>
<body onload="begin()">
<p id="hint" style="display: none; color: rgb(4, 5, 6)">Bravo !</p>
<button id="heat" type="button" onclick="heat(); return false">+</button> <output id="now">20</output>
<script>
  var step = JSON.parse(document.getElementById("settings").textContent).step;
  var degrees = 20;
  var coloured = document.getElementById("hint").style.color;
  function tell(message) { message.edgebox = 1; parent.postMessage(message, "*"); }
  function begin() { tell({ type: "ready" }); }
</script>
<script src="js/heat.js"></script>
</body>
</html>
"""
HEAT = b"""function heat() {
  degrees = Math.min(100, degrees + step);
  document.getElementById("now").textContent = degrees;
  if (degrees < 100) return;
  document.getElementById("hint").style.display = "";
  tell({ type: "answered", item: "boil", success: true, response: "100", score: 1, max: 1 });
  tell({ type: "completed", success: true, score: 1, max: 1 });
}
"""
APP_FILES = {"index.html": INDEX, "js/heat.js": HEAT, "README.md": b"# Kettle"}


def zipped_app(*, top: str = "", **more: bytes) -> bytes:
    """Return the app as an archive; `more` are further files by name, with `_` for the dot."""
    files = APP_FILES | {name.replace("_", "."): content for name, content in more.items()}
    return make_zip([Raw(top + path, content) for path, content in files.items()])
