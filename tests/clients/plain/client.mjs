// Posts every second argument to the one before it, twice, with fetch's defaults.
const given = process.argv.slice(2);
for (let number = 0; number < given.length * 2; number += 2) {
  const at = number % given.length;
  const response = await fetch(given[at], { method: "POST", body: given[at + 1] });
  console.log(response.status, await response.text());
}
