// What is offered to choose from: the models, a radio button for each, which begin with the one that
// was chosen last, and the cameras.

const KEY = "hourglass.model";

/** The name of the model that was chosen last in this browser; null if the browser keeps nothing. */
function recall() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // its user has switched storage off
  }
}

/** Notes a model for the next visit, where the browser keeps such notes. */
export function remember({ name }) {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // switched off, or full: the next visit begins with the first model
  }
}

/** Checks the button of the model that is used. */
export function mark(element, { name }) {
  for (const input of element.querySelectorAll("input")) input.checked = input.value === name;
}

/** Fills a <select> with cameras {id, label}, of which one is in use. */
export function offerCameras(element, cameras, used) {
  element.replaceChildren(...cameras.map(({ id, label }, place) =>
    new Option(label || `camera ${place + 1}`, id, false, id === used)));
}

/**
 * Fills an element with a button for each model.
 * @param models as site.json lists them
 * @param choose is called with the entry whose button was pressed
 * @returns the entry to begin with
 */
export function offerModels(element, models, choose) {
  const last = recall(), first = models.find(({ name }) => name === last) ?? models[0];
  element.replaceChildren(...models.map((entry, place) => {
    const label = document.createElement("label"), input = document.createElement("input");
    const [name, words] = ["span", "span"].map((tag) => document.createElement(tag));
    Object.assign(input, { type: "radio", name: "model", value: entry.name, checked: entry === first });
    Object.assign(name, { id: `model-${place}`, className: "name", textContent: entry.name });
    Object.assign(words, { id: `model-${place}-words`, className: "words" });
    words.textContent = [`${entry.size} px`, entry.words].filter(Boolean).join(", ");
    input.setAttribute("aria-labelledby", name.id);
    input.setAttribute("aria-describedby", words.id);
    const row = document.createElement("span");
    row.append(name, words);
    label.append(input, row);
    input.addEventListener("change", () => choose(entry));
    return label;
  }));
  return first;
}
