// golang-migrate's own library: `up`, or `force VERSION`.
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/database/postgres"
	_ "github.com/golang-migrate/migrate/v4/source/file"
)

func main() {
	m, err := migrate.New("file://"+os.Args[1], os.Args[2])
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	if len(os.Args) > 3 {
		version, _ := strconv.Atoi(os.Args[3])
		err = m.Force(version)
	} else {
		err = m.Up()
	}
	version, dirty, _ := m.Version()
	fmt.Println(version, dirty, err)
}
