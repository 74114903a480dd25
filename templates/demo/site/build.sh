# Puts every page of pages/ into layout.html, and fails on a link that leads nowhere.
set -eu
mkdir -p public
cp style.css public/
for page in pages/*.html; do
    name=$(basename "$page")
    title=$(sed -n '1s/<!-- \(.*\) -->/\1/p' "$page")
    sed -e "s/{{ title }}/$title/" -e "/{{ page }}/r $page" -e '/{{ page }}/d' layout.html >"public/$name"
    echo "$name: $title"
done
for link in $(cat public/*.html | grep -o 'href="/[a-z]*\.html"' | cut -d/ -f2 | tr -d '"' | sort -u); do
    if [ ! -f "public/$link" ]; then
        echo "broken link: /$link, and there is no pages/$link"
        exit 1
    fi
done
