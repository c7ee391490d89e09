// deno-lint-ignore-file no-unused-vars -- map.js, which follows, uses what stands here
// The legend of the map (map.js): splits and classes, each a button.

/** Build the legend once; later it is only marked. */
function buildLegend(map) {
  const choose = (what, value) => {
    map[what] = value;
    hover(map, -1);
    map.markLegend();
    redraw(map);
    tell(map);
  };
  const splits = [["both", "Both splits", ""], ["train", "Training", "dot"], ["test", "Test", "ring"]]
    .map(([value, words, sign]) => splitButton(map, value, words, sign, choose));
  const all = button("All classes", "", () => choose("only", -1), () => map.only < 0);
  const classes = classButtons(map, choose);
  const names = element("div", "names");
  names.append(...classes);
  map.markLegend = () => {
    for (const each of [...splits, all, ...classes]) each.setAttribute("aria-pressed", each._isChosen());
    scrollListTo(names, classes.find((each) => each._isChosen()));
  };
  const finder = classes.length > MANY_CLASSES ? [classFinder(classes)] : [];
  map.legend.replaceChildren(
    ...(map.tests < map.count ? [group("Splits", splits)] : []),
    group("Classes", [all, ...finder, names]),
  );
  map.markLegend();
}

function button(words, title, act, isChosen) {
  const made = element("button", "", words);
  made.type = "button";
  made.title = title;
  made.onclick = act;
  made._isChosen = isChosen;
  return made;
}

function splitButton(map, value, words, sign, choose) {
  const made = button("", "", () => choose("show", value), () => map.show === value);
  if (sign) made.append(element("i", sign));
  made.append(words);
  return made;
}

/** A button for each class that has points, with its color and their number. */
function classButtons(map, choose) {
  const counts = new Int32Array(map.names.length);
  for (const c of map.labels) counts[c]++;
  return [...map.names.entries()].filter(([c]) => counts[c]).map(([c, name]) => {
    const act = () => choose("only", map.only === c ? -1 : c);
    const made = button("", "this class alone", act, () => map.only === c);
    const dot = element("i", "dot");
    dot.style.background = map.palette[c];
    made.append(dot, name, element("small", "", withCommas(counts[c])));
    made._name = name.toLowerCase();
    return made;
  });
}

/** A field that hides all classes but those whose name contains what is typed; Enter chooses the first. */
function classFinder(classes) {
  const field = element("input");
  field.type = "search";
  field.placeholder = field.ariaLabel = "Find a class";
  field.oninput = () => {
    const wanted = field.value.trim().toLowerCase();
    for (const each of classes) each.hidden = !each._name.includes(wanted);
  };
  field.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key !== "Enter" || !field.value.trim()) return;
    const first = classes.find((each) => !each.hidden);
    if (first) first.click();
  };
  return field;
}

function group(label, children) {
  const made = element("div", "group");
  made.role = "group";
  made.ariaLabel = label;
  made.append(...children);
  return made;
}

function scrollListTo(list, child) {
  if (!child) return;
  const isAbove = child.offsetTop < list.scrollTop;
  const isBelow = child.offsetTop + child.offsetHeight > list.scrollTop + list.clientHeight;
  if (isAbove || isBelow) list.scrollTop = child.offsetTop - list.clientHeight / 2;
}
